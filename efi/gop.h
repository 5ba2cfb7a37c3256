// The pixels of the display, through the firmware's Graphics Output Protocol.
//
// Everything goes through Blt(): it is the one way that every mode has (some have no frame buffer
// that a program could see), it knows order and pitch of the pixels, and on the console's own
// protocol it reaches all displays at once. It is only ever told to write: reading video memory
// back is what makes consoles crawl.
#pragma once

#include "core/screen/cell_screen.h"
#include "efi/firmware.h"

namespace lbm::efi {

class GopDisplay final : public PixelSink {
 public:
  // Takes the display in the mode it is in. False where there is none.
  bool find();

  // True when the firmware has changed the mode since; width() and height() are the new ones.
  bool was_resized();

  [[nodiscard]] u32 width() const { return width_; }
  [[nodiscard]] u32 height() const { return height_; }

  void show(u32 x, u32 y, u32 width, u32 height, const u32* pixels, u32 pitch) override;
  // Paints all of it.
  void clear(u32 colour);

 private:
  EFI_GRAPHICS_OUTPUT_PROTOCOL* gop_ = nullptr;
  u32 width_ = 0;
  u32 height_ = 0;
};

}  // namespace lbm::efi
