// How much memory a channel's buffer takes. Internal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

namespace evcorothread {

// Errors: std::bad_array_new_length beyond the limit of an object's size; the aligned operator new of GCC 12
// rounds up what is larger to nothing.
inline std::size_t buffer_bytes(std::size_t count, std::size_t size) {
    if (count > std::size_t{PTRDIFF_MAX} / size) throw std::bad_array_new_length();
    return count * size;
}

}  // namespace evcorothread
