// See screen_settings.h.
#include "efi/screen_settings.h"

namespace lbm::efi {

// The settings have been checked against their choices; a word that is not known here is the
// standard one.
ScreenOptions screen_options(const Settings& settings) {
  ScreenOptions options;
  (void)parse_screen_mode(settings.text(Setting::kScreen), options.mode);
  (void)parse_font_scale(settings.text(Setting::kFontScale), options.font_scale);
  options.theme = find_theme(settings.text(Setting::kTheme));
  options.keymap = find_keymap(settings.text(Setting::kKeymap));
  options.n_scrollback = static_cast<u32>(settings.integer(Setting::kScrollback));
  return options;
}

}  // namespace lbm::efi
