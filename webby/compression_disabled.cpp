// Instead of compression_*.cpp in a build with COMPRESSION=0.
#include "webby/content_encoder_internal.h"

namespace webby {

std::span<const ContentCoding> content_codings() { return {}; }

cutils::Result<ContentEncoder> ContentEncoder::make(ContentCoding coding, std::uint64_t) {
    return cutils::Error(std::make_error_code(std::errc::not_supported),
                         std::string(to_string(coding)) + ": built with COMPRESSION=0");
}

}  // namespace webby
