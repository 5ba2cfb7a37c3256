// Move, forward and placement new: what <utility> and <new> give a hosted program.
#pragma once

#include "core/base/types.h"

namespace lbm {

template <class T>
struct RemoveReference {
  using Type = T;
};
template <class T>
struct RemoveReference<T&> {
  using Type = T;
};
template <class T>
struct RemoveReference<T&&> {
  using Type = T;
};

template <class T>
constexpr typename RemoveReference<T>::Type&& move(T&& value) noexcept {
  return static_cast<typename RemoveReference<T>::Type&&>(value);
}

template <class T>
constexpr T&& forward(typename RemoveReference<T>::Type& value) noexcept {
  return static_cast<T&&>(value);
}

template <class T>
constexpr void swap(T& a, T& b) noexcept {
  T kept = lbm::move(a);
  a = lbm::move(b);
  b = lbm::move(kept);
}

// Tag of our placement new; <new> is not there in every target.
struct PlaceAt {
  void* address;
};

}  // namespace lbm

inline void* operator new(lbm::usize, lbm::PlaceAt place) noexcept { return place.address; }
inline void operator delete(void*, lbm::PlaceAt) noexcept {}
