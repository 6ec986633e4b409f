// Undoes what webby/content_coding.h does, with the libraries' own decoders.
#pragma once

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <string>
#include <string_view>

#include "webby/accept_encoding.h"

namespace webby_test {

inline std::string gunzip(std::string_view coded) {
    z_stream stream{};
    if (::inflateInit2(&stream, 15 + 16) != Z_OK) return "<no inflate>";
    struct End {  // also when there is no memory for what comes out
        ~End() { ::inflateEnd(&stream); }
        z_stream& stream;
    } const end{stream};
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(coded.data()));
    stream.avail_in = static_cast<uInt>(coded.size());
    std::string plain;
    char room[16 * 1024];
    int code = Z_OK;
    while (code == Z_OK) {
        stream.next_out = reinterpret_cast<Bytef*>(room);
        stream.avail_out = sizeof room;
        code = ::inflate(&stream, Z_NO_FLUSH);
        plain.append(room, sizeof room - stream.avail_out);
    }
    if (stream.avail_in > 0) plain += "<more>";
    return code == Z_STREAM_END ? plain : plain + "<cut>";
}

inline std::string unbrotli(std::string_view coded) {
    BrotliDecoderState* const state = ::BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
    const auto* from = reinterpret_cast<const std::uint8_t*>(coded.data());
    std::size_t left = coded.size();
    std::string plain;
    std::uint8_t room[16 * 1024];
    BrotliDecoderResult result = BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT;
    while (result == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT) {
        std::uint8_t* to = room;
        std::size_t space = sizeof room;
        result = ::BrotliDecoderDecompressStream(state, &left, &from, &space, &to, nullptr);
        plain.append(reinterpret_cast<char*>(room), sizeof room - space);
    }
    if (left > 0) plain += "<more>";
    ::BrotliDecoderDestroyInstance(state);
    return result == BROTLI_DECODER_RESULT_SUCCESS ? plain : plain + "<cut>";
}

inline std::string unzstd(std::string_view coded) {
    ZSTD_DStream* const stream = ::ZSTD_createDStream();
    ZSTD_inBuffer from{coded.data(), coded.size(), 0};
    std::string plain;
    char room[16 * 1024];
    std::size_t wanted = 1;
    while (from.pos < from.size || wanted != 0) {
        ZSTD_outBuffer to{room, sizeof room, 0};
        const std::size_t before = from.pos;
        wanted = ::ZSTD_decompressStream(stream, &to, &from);
        plain.append(room, to.pos);
        if (::ZSTD_isError(wanted) != 0 || (to.pos == 0 && from.pos == before)) break;
    }
    ::ZSTD_freeDStream(stream);
    return wanted == 0 ? plain : plain + "<cut>";
}

inline std::string decode(webby::ContentCoding coding, std::string_view coded) {
    switch (coding) {
        case webby::ContentCoding::gzip: return gunzip(coded);
        case webby::ContentCoding::br: return unbrotli(coded);
        case webby::ContentCoding::zstd: return unzstd(coded);
        case webby::ContentCoding::identity: break;
    }
    return std::string(coded);
}

}  // namespace webby_test
