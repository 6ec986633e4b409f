#include "webby/response.h"

#include <utility>

#include "cutils/check.h"
#include "cutils/log.h"
#include "nutils/net_error.h"
#include "webby/ascii.h"
#include "webby/uri.h"

namespace webby {
namespace {

constexpr ascii::CharSet kUriSafe([](char c) {
    return ascii::is_alnum(c) || (c != 0 && ascii::contains("-._~!$&'()*+,;=:@/?#[]%", c));
});

bool is_server_field(std::string_view name) {
    switch (name.size()) {
        case 4: return ascii::equal_ignoring_case(name, "Date");
        case 10: return ascii::equal_ignoring_case(name, "Connection");
        case 14: return ascii::equal_ignoring_case(name, "Content-Length");
        case 17: return ascii::equal_ignoring_case(name, "Transfer-Encoding");
        default: return false;
    }
}

bool is_content_type(std::string_view name) {
    return name.size() == 12 && ascii::equal_ignoring_case(name, "Content-Type");
}

// The values are not logged: they are what an attacker chose.
bool is_allowed(std::string_view name, std::string_view value) {
    if (name.empty() || !ascii::kToken.has_all(name)) {
        cutils::log(cutils::LogLevel::warning, "response field refused: its name is not a token");
        return false;
    }
    const char* reason = nullptr;
    if (is_server_field(name)) reason = "the server writes it itself";
    if (!ascii::kFieldValue.has_all(value)) reason = "control characters in the value";
    if (reason == nullptr) return true;
    cutils::log(cutils::LogLevel::warning, "response field %.*s refused: %s", static_cast<int>(name.size()),
                name.data(), reason);
    return false;
}

}  // namespace

WriteCoder::~WriteCoder() = default;

bool Response::add_header(std::string_view name, std::string_view value) {
    if (!is_allowed(name, value)) return false;
    if (is_content_type(name)) {
        set_type(value);
        return true;
    }
    fields_.append(name).append(": ").append(value).append("\r\n");
    return true;
}

bool Response::set_header(std::string_view name, std::string_view value) {
    if (!is_allowed(name, value)) return false;
    remove_header(name);
    return add_header(name, value);
}

// Where the line of the first field of that name begins, npos without one.
std::size_t Response::find_line(std::string_view name, std::size_t from) const {
    while (from < fields_.size()) {
        const std::string_view rest = std::string_view(fields_).substr(from);
        if (rest.size() > name.size() && rest[name.size()] == ':' &&
            ascii::equal_ignoring_case(rest.substr(0, name.size()), name))
            return from;
        from = fields_.find('\n', from) + 1;
    }
    return std::string::npos;
}

void Response::remove_header(std::string_view name) {
    if (is_content_type(name)) type_ = {};
    for (std::size_t at = 0; (at = find_line(name, at)) != std::string::npos;)
        fields_.erase(at, fields_.find('\n', at) + 1 - at);
}

std::optional<std::string_view> Response::find_header(std::string_view name) const {
    if (is_content_type(name)) return type_.empty() ? std::nullopt : std::optional(type_);
    const std::size_t at = find_line(name, 0);
    if (at == std::string::npos) return {};
    const std::size_t begin = at + name.size() + 2;
    return std::string_view(fields_).substr(begin, fields_.find('\r', begin) - begin);
}

void Response::set_type(std::string_view type) {
    type_storage_.assign(type);
    type_ = type_storage_;
}

void Response::body(std::string_view bytes, std::string_view type) {
    drop_other_body();
    body_.assign(bytes);
    if (!type.empty() && is_allowed("Content-Type", type)) set_type(type);
}

void Response::take_body(std::string&& bytes, std::string_view type) {
    drop_other_body();
    body_ = std::move(bytes);
    if (!type.empty() && is_allowed("Content-Type", type)) set_type(type);
}

void Response::file(nutils::UniqueFd file, std::uint64_t size, off_t offset) {
    drop_other_body();
    body_.clear();
    file_ = std::move(file);
    size_ = size;
    file_offset_ = offset;
    kind_ = Kind::file;
}

void Response::source(std::unique_ptr<BodySource> source, std::optional<std::uint64_t> size) {
    EVC_CHECK(source != nullptr, "Response::source() without a source");
    drop_other_body();
    body_.clear();
    source_ = std::move(source);
    size_ = size.value_or(0);
    kind_ = size ? Kind::source : Kind::endless;
}

nutils::UniqueFd Response::take_file() {
    nutils::UniqueFd taken = std::move(file_);
    drop_other_body();
    return taken;
}

std::unique_ptr<BodySource> Response::take_source() {
    std::unique_ptr<BodySource> taken = std::move(source_);
    drop_other_body();
    return taken;
}

// An interim answer would leave the client waiting for the real one, and take the next one for it.
Status Response::refuse_status(Status status) {
    cutils::log(cutils::LogLevel::error, "webby: %d is not the status of an answer; 500 instead",
                static_cast<int>(to_number(status)));
    return Status::internal_error;
}

void Response::begin_writing() {
    drop_other_body();
    body_.clear();
    size_ = 0;
    kind_ = Kind::written;
}

void Response::code_writes(std::unique_ptr<WriteCoder> coder) {
    EVC_CHECK(is_written() && coder != nullptr, "Response::code_writes() of a body that is not written");
    coder_ = std::move(coder);
}

void Response::drop_what_is_no_text() {
    file_.reset();
    source_.reset();
    coder_.reset();
    kind_ = Kind::text;
}

void Response::redirect(std::string_view location, Status status) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    std::string safe;
    safe.reserve(location.size());
    for (const char c : location) {
        if (kUriSafe.has(c)) {
            safe += c;
            continue;
        }
        safe += '%';
        safe += kHex[static_cast<unsigned char>(c) >> 4];
        safe += kHex[static_cast<unsigned char>(c) & 15];
    }
    set_header("Location", safe);
    error(status);
}

void Response::error(Status status, std::string_view detail) {
    status = this->status(status).status();
    std::string page = std::to_string(to_number(status));
    page.append(" ").append(reason_phrase(status)).append("\n");
    if (!detail.empty()) page.append(detail).append("\n");
    text(page);
}

nutils::IoResult Response::write(std::string_view piece, cutils::Deadline deadline) {
    constexpr std::size_t kMostGathered = 16 * 1024 * 1024;
    if (sink_ != nullptr) return sink_->write(piece, deadline);
    if (overflowed_) return {0, nutils::NetError::too_long};
    if (kind_ != Kind::gathered) {
        drop_other_body();
        body_.clear();
        kind_ = Kind::gathered;
    }
    if (body_.size() + piece.size() > kMostGathered) {  // the client must not take the part for the whole
        clear();
        error(Status::internal_error);
        overflowed_ = true;
        return {0, nutils::NetError::too_long};
    }
    body_.append(piece);
    return {piece.size(), {}};
}

std::error_code Response::flush(cutils::Deadline deadline) {
    return sink_ != nullptr ? sink_->flush(deadline) : std::error_code();
}

void Response::clear() {
    constexpr std::size_t kKeep = 64 * 1024;  // what one large response needed is not kept for ever
    if (body_.capacity() > kKeep) std::string().swap(body_);
    fields_.clear();
    body_.clear();
    type_ = {};
    drop_other_body();
    if (deferred_ != nullptr) drop_deferred();
    status_ = Status::ok;
    close_ = overflowed_ = false;
}

void Response::swap(Response& other) {
    const bool own_type = !type_.empty() && type_.data() == type_storage_.data();
    const bool others_own = !other.type_.empty() && other.type_.data() == other.type_storage_.data();
    fields_.swap(other.fields_);
    body_.swap(other.body_);
    type_storage_.swap(other.type_storage_);
    std::swap(type_, other.type_);
    if (others_own) type_ = type_storage_;
    if (own_type) other.type_ = other.type_storage_;
    std::swap(file_, other.file_);
    std::swap(source_, other.source_);
    std::swap(coder_, other.coder_);
    std::swap(size_, other.size_);
    std::swap(kind_, other.kind_);
    std::swap(file_offset_, other.file_offset_);
    std::swap(status_, other.status_);
    std::swap(close_, other.close_);
    std::swap(overflowed_, other.overflowed_);
}

}  // namespace webby
