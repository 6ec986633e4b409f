#include "webby/content_coding.h"

#include <algorithm>
#include <new>
#include <utility>

#include "cutils/check.h"
#include "webby/ascii.h"
#include "webby/content_encoder_internal.h"

namespace webby {

bool is_compressible(std::string_view content_type) {
    static constexpr std::string_view kTypes[] = {
        "application/javascript",
        "application/json",
        "application/manifest+json",
        "application/rtf",
        "application/toml",
        "application/vnd.ms-fontobject",
        "application/wasm",
        "application/x-javascript",
        "application/x-ndjson",
        "application/x-tar",
        "application/xml",
        "application/yaml",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/svg+xml",
        "image/x-icon",
    };
    std::string_view type = ascii::trim(content_type.substr(0, content_type.find(';')));
    const auto is = [&type](std::string_view other) { return ascii::equal_ignoring_case(type, other); };
    if (ascii::equal_ignoring_case(type.substr(0, 5), "text/")) return !is("text/event-stream");
    if (std::any_of(std::begin(kTypes), std::end(kTypes), is)) return true;
    const std::size_t plus = type.rfind('+');
    if (plus == std::string_view::npos) return false;
    type.remove_prefix(plus + 1);
    return is("json") || is("xml") || is("yaml");
}

ContentEncoder::ContentEncoder(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}
ContentEncoder::ContentEncoder(ContentEncoder&&) noexcept = default;
ContentEncoder& ContentEncoder::operator=(ContentEncoder&&) noexcept = default;
ContentEncoder::~ContentEncoder() = default;

ContentEncoder::Step ContentEncoder::step(std::string_view& input, std::span<char> room, Until until) {
    EVC_CHECK(engine_ != nullptr && !room.empty(), "ContentEncoder::step() without room, or after a move");
    return engine_->step(input, room, until);
}

std::size_t ContentEncoder::memory() const { return engine_ != nullptr ? engine_->memory() : 0; }

std::error_code ContentEncoder::run(std::string_view input, std::string& out, Until until) {
    for (;;) {
        const std::size_t before = out.size();
        const std::size_t room = std::max<std::size_t>(out.capacity() - before, 4096);
        out.resize(before + room);
        const Step done = step(input, {out.data() + before, room}, until);
        out.resize(before + done.bytes);
        if (done.error) return done.error;
        if (done.ready) return {};
    }
}

std::error_code ContentEncoder::feed(std::string_view input, std::string& out) {
    return run(input, out, Until::fed);
}
std::error_code ContentEncoder::flush(std::string& out) { return run({}, out, Until::flushed); }
std::error_code ContentEncoder::finish(std::string& out) { return run({}, out, Until::finished); }

cutils::Result<std::string> encode(ContentCoding coding, std::string_view body) {
    cutils::Result<ContentEncoder> encoder = ContentEncoder::make(coding, body.size());
    if (!encoder) return encoder.error();
    std::string out;
    out.reserve(body.size() / 2 + 64);
    std::error_code error = encoder->feed(body, out);
    if (!error) error = encoder->finish(out);
    if (error) return cutils::Error(error, std::string(to_string(coding)));
    return out;
}

EncodedSource::EncodedSource(std::unique_ptr<BodySource> plain, ContentEncoder encoder)
    : plain_(std::move(plain)), encoder_(std::move(encoder)), input_(new char[kInput]) {}

nutils::IoResult EncodedSource::read(std::span<char> buffer) {
    using Until = ContentEncoder::Until;
    for (std::size_t coded = 0;;) {
        if (left_.empty() && !plain_ended_ && !flushing_) {
            if (coded >= kAtOnce) return {};  // the next time
            const nutils::IoResult got = plain_->read({input_.get(), kInput});
            if (!got && !got.eof() && !got.would_block()) return {0, got.error};
            if (got && got.bytes == 0) return {};  // what its reader makes of it
            left_ = {input_.get(), got.bytes};
            plain_ended_ = got.eof();
            coded += got.bytes;
            work_ += got.bytes;
            silent_ += got.bytes;
            dirty_ |= got.bytes > 0;
            if (got.would_block() && !dirty_) return {0, got.error};
            flushing_ = silent_ >= kSilence || got.would_block();  // who waits gets what there is
        }
        // A flush that has begun goes on until it is ready.
        const Until until = flushing_ ? Until::flushed : plain_ended_ ? Until::finished : Until::fed;
        const ContentEncoder::Step step = encoder_.step(left_, buffer, until);
        if (step.error) return {step.bytes, step.error};
        if (step.bytes > 0) silent_ = 0;
        if (step.ready && flushing_) flushing_ = dirty_ = false;
        if (until == Until::finished && step.ready) return {step.bytes, nutils::NetError::eof};
        if (step.bytes > 0) return {step.bytes, {}};
    }
}

}  // namespace webby
