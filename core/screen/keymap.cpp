// The keymaps (keymap.h). Source: the layouts of Windows (kbdlayout.info), and X.org's
// xkeyboard-config where Windows has nothing on AltGr.
//
// Firmware does not tell of the key between left Shift and Z, which has < > | or \ | there (or
// tells of it as the US key \). Those characters are also on AltGr with the keys , . / of a US
// keyboard, or where a layout has them anyway.
#include "core/screen/keymap.h"

#include "core/base/unicode_normalize.h"

namespace lbm {
namespace {

// The keys, row by row, as a US keyboard has them.
constexpr char kUsPlain[] =
    "`1234567890-="
    "qwertyuiop[]\\"
    "asdfghjkl;'"
    "zxcvbnm,./";
constexpr char kUsShift[] =
    "~!@#$%^&*()_+"
    "QWERTYUIOP{}|"
    "ASDFGHJKL:\""
    "ZXCVBNM<>?";
static_assert(sizeof(kUsPlain) - 1 == Keymap::kKeyCount);
static_assert(sizeof(kUsShift) - 1 == Keymap::kKeyCount);

constexpr char16_t kNothing[] =
    u"             "
    u"             "
    u"           "
    u"          ";

// Arrays of exactly kKeyCount characters, or it does not compile.
using Layer = const char16_t (&)[Keymap::kKeyCount + 1];
constexpr Keymap make(Str name, Layer plain, Layer shift, Layer alt_gr, const char16_t* dead) {
  return {name, plain, shift, alt_gr, dead};
}

constexpr Keymap kKeymaps[] = {
    make("us",
         u"`1234567890-="
         u"qwertyuiop[]\\"
         u"asdfghjkl;'"
         u"zxcvbnm,./",
         u"~!@#$%^&*()_+"
         u"QWERTYUIOP{}|"
         u"ASDFGHJKL:\""
         u"ZXCVBNM<>?",
         kNothing, u""),
    make("uk",
         u"`1234567890-="
         u"qwertyuiop[]#"
         u"asdfghjkl;'"
         u"zxcvbnm,./",
         u"\u00AC!\"\u00A3$%^&*()_+"
         u"QWERTYUIOP{}~"
         u"ASDFGHJKL:@"
         u"ZXCVBNM<>?",
         u"\u00A6   \u20AC        "
         u"  \u00E9   \u00FA\u00ED\u00F3   \\"
         u"\u00E1         |"
         u"          ",
         u""),
    make("de",
         u"^1234567890\u00DF\u00B4"
         u"qwertzuiop\u00FC+#"
         u"asdfghjkl\u00F6\u00E4"
         u"yxcvbnm,.-",
         u"\u00B0!\"\u00A7$%&/()=?`"
         u"QWERTZUIOP\u00DC*'"
         u"ASDFGHJKL\u00D6\u00C4"
         u"YXCVBNM;:_",
         u"  \u00B2\u00B3   {[]}\\ "
         u"@ \u20AC        ~ "
         u"           "
         u"      \u00B5<>|",
         u"^\u00B4`"),
    make("fr",
         u"\u00B2&\u00E9\"'(-\u00E8_\u00E7\u00E0)="
         u"azertyuiop^$*"
         u"qsdfghjklm\u00F9"
         u"wxcvbn,;:!",
         u"\u00B21234567890\u00B0+"
         u"AZERTYUIOP\u00A8\u00A3\u00B5"
         u"QSDFGHJKLM%"
         u"WXCVBN?./\u00A7",
         u"  ~#{[|`\\^@]}"
         u"  \u20AC        \u00A4 "
         u"           "
         u"       <> ",
         u"^\u00A8"),
    make("es",
         u"\u00BA1234567890'\u00A1"
         u"qwertyuiop`+\u00E7"
         u"asdfghjkl\u00F1\u00B4"
         u"zxcvbnm,.-",
         u"\u00AA!\"\u00B7$%&/()=?\u00BF"
         u"QWERTYUIOP^*\u00C7"
         u"ASDFGHJKL\u00D1\u00A8"
         u"ZXCVBNM;:_",
         u"\\|@#~\u20AC\u00AC      "
         u"  \u20AC       []}"
         u"          {"
         u"       <> ",
         u"`\u00B4^\u00A8"),
    make("it",
         u"\\1234567890'\u00EC"
         u"qwertyuiop\u00E8+\u00F9"
         u"asdfghjkl\u00F2\u00E0"
         u"zxcvbnm,.-",
         u"|!\"\u00A3$%&/()=?^"
         u"QWERTYUIOP\u00E9*\u00A7"
         u"ASDFGHJKL\u00E7\u00B0"
         u"ZXCVBNM;:_",
         u"       {[]}`~"
         u"  \u20AC       [] "
         u"         @#"
         u"       <> ",
         u""),
    make("pt-br",
         u"'1234567890-="
         u"qwertyuiop\u00B4[]"
         u"asdfghjkl\u00E7~"
         u"zxcvbnm,.;",
         u"\"!@#$%\u00A8&*()_+"
         u"QWERTYUIOP`{}"
         u"ASDFGHJKL\u00C7^"
         u"ZXCVBNM<>:",
         u" \u00B9\u00B2\u00B3\u00A3\u00A2\u00AC     \u00A7"
         u"/?\u20AC        \u00AA\u00BA"
         u"           "
         u"       \\| ",
         u"\u00B4`~^\u00A8"),
    make("dvorak",
         u"`1234567890[]"
         u"',.pyfgcrl/=\\"
         u"aoeuidhtns-"
         u";qjkxbmwvz",
         u"~!@#$%^&*(){}"
         u"\"<>PYFGCRL?+|"
         u"AOEUIDHTNS_"
         u":QJKXBMWVZ",
         kNothing, u""),
};

// The combining mark of an accent.
u32 combining_mark(u32 accent) {
  switch (accent) {
    case '`': return 0x0300;
    case 0x00B4: return 0x0301;
    case '^': return 0x0302;
    case '~': return 0x0303;
    case 0x00A8: return 0x0308;
    default: return 0;
  }
}

bool contains(const char16_t* text, u32 unit) {
  for (; *text != 0; ++text) {
    if (*text == unit) return true;
  }
  return false;
}

}  // namespace

Span<const Keymap> keymaps() { return kKeymaps; }

const Keymap* find_keymap(Str name) {
  for (const Keymap& keymap : kKeymaps) {
    if (keymap.name == name) return &keymap;
  }
  return nullptr;
}

u32 KeyMapper::translate(u32 us_character, Modifiers modifiers) const {
  for (u32 key = 0; key < Keymap::kKeyCount; ++key) {
    const bool is_plain = static_cast<u32>(kUsPlain[key]) == us_character;
    const bool is_shift = static_cast<u32>(kUsShift[key]) == us_character;
    if (!is_plain && !is_shift) continue;
    if (modifiers.alt_gr) {
      const char16_t third = keymap_->alt_gr[key];
      return third == ' ' ? us_character : third;
    }
    // The firmware has done Caps Lock for the keys that are letters on a US keyboard; those that
    // are letters only here are left to us.
    const bool is_us_letter = kUsPlain[key] >= 'a' && kUsPlain[key] <= 'z';
    const u32 plain = keymap_->plain[key];
    const u32 shift = keymap_->shift[key];
    const bool is_letter = plain != shift && to_lower(shift) == plain;
    bool shifted = is_shift;
    if (modifiers.caps_lock && is_us_letter != is_letter) shifted = !shifted;
    return shifted ? shift : plain;
  }
  return us_character;
}

KeyMapper::Characters KeyMapper::on_stroke(u32 us_character, Modifiers modifiers) {
  if (keymap_ == nullptr) return {1, {us_character, 0}};
  const u32 codepoint = translate(us_character, modifiers);
  const u32 accent = accent_;
  accent_ = 0;
  if (accent == 0) {
    if (!contains(keymap_->dead, codepoint)) return {1, {codepoint, 0}};
    accent_ = codepoint;
    return {};
  }
  if (codepoint == ' ' || codepoint == accent) return {1, {accent, 0}};
  const u32 both = compose(codepoint, combining_mark(accent));
  if (both != 0) return {1, {both, 0}};
  return {2, {accent, codepoint}};
}

}  // namespace lbm
