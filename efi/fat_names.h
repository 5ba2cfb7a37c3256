// The short (8.3) name that a FAT volume has for a long one, read from the directory itself.
//
// Some firmware opens files by their short names only, or lists nothing else. Which short name
// belongs to a long one ("STORIE~1.GGU") is written in the directory and nowhere else: made up by
// rule it may be that of another file with the same first six letters. So the directory is read
// from the disk, as far as a name needs it; every byte of it may be wrong.
#pragma once

#include "core/base/fmt.h"
#include "core/base/result.h"
#include "core/base/span.h"

namespace lbm::efi {

// The bytes of a volume, from its first sector on.
class VolumeBytes {
 public:
  [[nodiscard]] virtual bool read(u64 offset, Span<u8> out) = 0;

 protected:
  ~VolumeBytes() = default;
};

// Writes `path` with each of its names in the short form into `out`. Names are compared without
// regard to the case of ASCII letters; '/' and '\' stand between them.
// Errors: kNotFound  the path names nothing here.   kUnsupported  no FAT volume.   kIo.
//         kLimit  the path does not fit `out`.
[[nodiscard]] Result<Str> short_path(VolumeBytes& volume, Str path, TextWriter& out);

}  // namespace lbm::efi
