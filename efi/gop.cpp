// See gop.h.
#include "efi/gop.h"

namespace lbm::efi {
namespace {

constexpr EFI_GUID kGraphicsOutputGuid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
constexpr u32 kMaxDisplays = 16;
constexpr u32 kMaxPixels = 16384;  // a side; more is no display

static_assert(sizeof(EFI_GRAPHICS_OUTPUT_BLT_PIXEL) == sizeof(u32));  // blue in the lowest byte

// With one display its own protocol; with several the console's, which copies to all of them. The
// console's alone proves nothing: firmware has it without any display, too. Only that of a device
// has a device path.
EFI_GRAPHICS_OUTPUT_PROTOCOL* choose() {
  EFI_HANDLE handles[kMaxDisplays];
  const u32 n_handle = handles_with(kGraphicsOutputGuid, handles);
  EFI_GRAPHICS_OUTPUT_PROTOCOL* first = nullptr;
  u32 n_device = 0;
  for (u32 i = 0; i < n_handle; ++i) {
    if (protocol<EFI_DEVICE_PATH>(handles[i], kDevicePathGuid) == nullptr) continue;
    auto* gop = protocol<EFI_GRAPHICS_OUTPUT_PROTOCOL>(handles[i], kGraphicsOutputGuid);
    if (gop == nullptr) continue;
    if (first == nullptr) first = gop;
    ++n_device;
  }
  if (n_device <= 1) return first;
  auto* all =
      protocol<EFI_GRAPHICS_OUTPUT_PROTOCOL>(system_table().ConsoleOutHandle, kGraphicsOutputGuid);
  return all != nullptr ? all : first;
}

}  // namespace

bool GopDisplay::find() {
  gop_ = choose();
  if (gop_ == nullptr || gop_->Mode == nullptr || gop_->Mode->Info == nullptr) return false;
  (void)was_resized();
  return width_ > 0 && height_ > 0 && width_ <= kMaxPixels && height_ <= kMaxPixels;
}

bool GopDisplay::was_resized() {
  const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION& mode = *gop_->Mode->Info;
  if (mode.HorizontalResolution == width_ && mode.VerticalResolution == height_) return false;
  width_ = mode.HorizontalResolution;
  height_ = mode.VerticalResolution;
  return true;
}

void GopDisplay::show(u32 x, u32 y, u32 width, u32 height, const u32* pixels, u32 pitch) {
  // Blt() takes a pointer to what it may also write to; here it only reads.
  auto* from = reinterpret_cast<EFI_GRAPHICS_OUTPUT_BLT_PIXEL*>(const_cast<u32*>(pixels));
  (void)gop_->Blt(gop_, from, EfiBltBufferToVideo, 0, 0, x, y, width, height,
                  usize{pitch} * sizeof(u32));
}

void GopDisplay::clear(u32 colour) {
  auto* pixel = reinterpret_cast<EFI_GRAPHICS_OUTPUT_BLT_PIXEL*>(&colour);
  (void)gop_->Blt(gop_, pixel, EfiBltVideoFill, 0, 0, 0, 0, width_, height_, 0);
}

}  // namespace lbm::efi
