#include <new>

#include "webby/content_encoder_internal.h"

namespace webby {

std::span<const ContentCoding> content_codings() {
    static constexpr ContentCoding kCodings[] = {ContentCoding::zstd, ContentCoding::br, ContentCoding::gzip};
    return kCodings;
}

cutils::Result<ContentEncoder> ContentEncoder::make(ContentCoding coding, std::uint64_t expected_size) {
    std::unique_ptr<Engine> engine;
    switch (coding) {
        case ContentCoding::gzip: engine = make_gzip_engine(expected_size); break;
        case ContentCoding::br: engine = make_brotli_engine(expected_size); break;
        case ContentCoding::zstd: engine = make_zstd_engine(expected_size); break;
        case ContentCoding::identity:
            return cutils::Error(std::make_error_code(std::errc::not_supported), "identity is no coding");
    }
    if (engine == nullptr)
        return cutils::Error(std::make_error_code(std::errc::not_enough_memory),
                             std::string(to_string(coding)));
    return ContentEncoder(std::move(engine));
}

}  // namespace webby
