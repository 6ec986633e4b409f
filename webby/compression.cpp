#include "webby/compression.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cutils/log.h"
#include "webby/ascii.h"
#include "webby/content_coding.h"
#include "webby/file_source_internal.h"

namespace webby {
namespace {

// A text that a response had, as a source.
class TextSource final : public BodySource {
  public:
    explicit TextSource(std::string text) : text_(std::move(text)) {}
    nutils::IoResult read(std::span<char> buffer) override {
        if (at_ == text_.size()) return {0, nutils::NetError::eof};
        const std::size_t size = text_.copy(buffer.data(), buffer.size(), at_);
        at_ += size;
        return {size, {}};
    }
    std::size_t held() const override { return text_.capacity(); }

  private:
    std::string text_;
    std::size_t at_ = 0;
};

// A body that a servlet writes.
class CodedWrites final : public WriteCoder {
  public:
    explicit CodedWrites(ContentEncoder encoder) : encoder_(std::move(encoder)) {}
    std::error_code code(std::string_view piece, std::string& out) override {
        dirty_ = true;
        return encoder_.feed(piece, out);
    }
    std::error_code flush(std::string& out) override {
        return std::exchange(dirty_, false) ? encoder_.flush(out) : std::error_code();
    }
    std::error_code finish(std::string& out) override { return encoder_.finish(out); }

  private:
    ContentEncoder encoder_;
    bool dirty_ = false;  // something was coded since the last flush
};

bool may_be_coded(const Response& response, const CompressionOptions& options) {
    if (is_bodyless(response.status()) || response.status() == Status::partial_content) return false;
    if (response.has_size() && response.body_size() < options.minimum) return false;
    if (!is_compressible(response.content_type())) return false;
    if (response.find_header("Content-Encoding") || response.find_header("Content-Range")) return false;
    const std::optional<std::string_view> caching = response.find_header("Cache-Control");
    return !caching || !list_has_token(*caching, "no-transform");
}

std::unique_ptr<BodySource> take_as_source(Response& response) {
    if (response.has_source()) return response.take_source();
    if (response.has_file()) {
        const auto offset = static_cast<std::uint64_t>(response.file_offset());
        const std::uint64_t size = response.body_size();
        return std::make_unique<FileSource>(response.take_file(), offset, size);
    }
    std::string text;
    response.swap_body(text);
    return std::make_unique<TextSource>(std::move(text));
}

// False when there is no memory for it, or the library fails: the body stays as it is.
bool code_body(Response& response, ContentCoding coding, const CompressionOptions& options) {
    const auto failed = [&](const cutils::Error& error) {
        cutils::log(cutils::LogLevel::warning, "webby: not compressed: %s", error.message().c_str());
        return false;
    };
    if (response.has_text() && response.body_size() <= options.whole) {
        cutils::Result<std::string> coded = encode(coding, response.body_text());
        if (!coded) return failed(coded.error());
        response.take_body(std::move(*coded), {});
        return true;
    }
    cutils::Result<ContentEncoder> encoder = ContentEncoder::make(coding, response.body_size());
    if (!encoder) return failed(encoder.error());
    if (response.is_written()) {
        response.code_writes(std::make_unique<CodedWrites>(std::move(*encoder)));
        return true;
    }
    response.source(std::make_unique<EncodedSource>(take_as_source(response), std::move(*encoder)));
    return true;
}

void weaken_etag(Response& response) {
    const std::optional<std::string_view> etag = response.find_header("ETag");
    if (!etag || etag->starts_with("W/")) return;
    response.set_header("ETag", "W/" + std::string(*etag));
}

}  // namespace

void add_vary(Response& response, std::string_view name) {
    const std::optional<std::string_view> vary = response.find_header("Vary");
    if (!vary) {
        response.add_header("Vary", name);
    } else if (!list_has_token(*vary, name) && !list_has_token(*vary, "*")) {
        response.set_header("Vary", std::string(*vary).append(", ").append(name));
    }
}

void Compression::on_response(const Request& request, Response& response) {
    if (content_codings().empty()) return;
    if (response.status() == Status::not_modified) {
        // What would have been sent is not known; that the choice depends on the client is. A weak tag stands
        // for what we coded and for what we did not.
        add_vary(response, "Accept-Encoding");
        return weaken_etag(response);
    }
    if (!may_be_coded(response, options_)) return;
    add_vary(response, "Accept-Encoding");
    const ContentCoding coding =
        AcceptEncoding(request.headers()).choose(content_codings()).value_or(ContentCoding::identity);
    if (coding == ContentCoding::identity || !code_body(response, coding, options_)) return;
    response.set_header("Content-Encoding", to_string(coding));
    response.remove_header("Accept-Ranges");
    weaken_etag(response);
}

}  // namespace webby
