// Response: what a servlet answers.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "nutils/io_result.h"
#include "nutils/unique_fd.h"
#include "webby/body_source.h"
#include "webby/http_types.h"

namespace webby {

class Deferred;
class DeferredState;
class ResponseStream;

// Who sends what Response::write() is given. The exchange implements it; servlets do not see it.
class ResponseSink {
  public:
    virtual nutils::IoResult write(std::string_view piece, cutils::Deadline deadline) = 0;
    virtual std::error_code flush(cutils::Deadline deadline) = 0;

  protected:
    ~ResponseSink() = default;
};

// What all that Response::write() is given passes through on its way to the client: a content coding. A
// filter brings one: Response::code_writes().
//
// Owner:  the response, until its body is complete. One thread.
// Errors: of all: the connection is cut, so that nobody takes the part for the whole.
class EVC_API WriteCoder {
  public:
    virtual ~WriteCoder();
    // What it makes of the piece is added to `out`; it may keep some of it.
    [[nodiscard]] virtual std::error_code code(std::string_view piece, std::string& out) = 0;
    // From all that `out` has got by then the client can make all that was given.
    [[nodiscard]] virtual std::error_code flush(std::string& out) = 0;
    // The end. Nothing follows.
    [[nodiscard]] virtual std::error_code finish(std::string& out) = 0;
};

// Starts as an empty 200. Set a status, fields and one body; the last body wins.
//
//   response.text("Hello\n");
//   response.status(Status::created).add_header("Location", "/things/7");
//   response.redirect("/elsewhere");
//
// The server adds Date, Content-Length or Transfer-Encoding, and Connection, and leaves the body out where
// HTTP wants none (HEAD, 204, 205, 304): a servlet answers HEAD as it answers GET.
//
// Owner: the connection; a servlet gets a reference that is good until it returns. One thread.
// Cost:  fields are kept as they will be sent; the memory is kept from response to response.
class EVC_API Response {
  public:
    Response() = default;
    Response(const Response&) = delete;
    Response& operator=(const Response&) = delete;
    ~Response() {
        if (deferred_ != nullptr) drop_deferred();
    }

    // Errors: what cannot end an answer, below 200 or above 999, becomes a 500 and a line in the log.
    Response& status(Status status) {
        status_ = to_number(status) >= 200 && to_number(status) <= 999 ? status : refuse_status(status);
        return *this;
    }
    [[nodiscard]] Status status() const { return status_; }

    // Adds a field; set_header() replaces all of that name.
    //
    // Errors: false, the response unchanged and a line in the log, when the name is not a token, the value
    //         has a CR, LF or another control character (nobody splits a response through us), or the field
    //         is one that the server writes itself (Connection, Content-Length, Date, Transfer-Encoding).
    bool add_header(std::string_view name, std::string_view value);
    bool set_header(std::string_view name, std::string_view value);
    void remove_header(std::string_view name);
    // The first value of that name. Lifetime: until the next change of the response.
    [[nodiscard]] std::optional<std::string_view> find_header(std::string_view name) const;

    // The body and its type, UTF-8. json() takes JSON text.
    void text(std::string_view body) { set_body(body, "text/plain; charset=utf-8"); }
    void html(std::string_view body) { set_body(body, "text/html; charset=utf-8"); }
    void json(std::string_view body) { set_body(body, "application/json"); }
    // Any bytes. An empty type leaves the type as it is. take_body() does not copy them.
    void body(std::string_view bytes, std::string_view type);
    void take_body(std::string&& bytes, std::string_view type);

    // The bytes [offset, offset + size) of a regular file, sent by the kernel. A file that is shorter by then
    // cuts the connection, so that the client cannot take the part for the whole.
    void file(nutils::UniqueFd file, std::uint64_t size, off_t offset = 0);

    // A body that is made while it is sent. With a size: exactly so many bytes are sent; a source that ends
    // before cuts the connection. Without: in chunks, or, to a client of HTTP/1.0, until the connection
    // closes. Where HTTP wants no body it is never read.
    //
    // Before: source is not null.
    void source(std::unique_ptr<BodySource> source, std::optional<std::uint64_t> size = {});

    // Writes the body piece by piece: the first one sends the head, and from then on status and fields are
    // what they are. For HTTP/1.1 in chunks, for 1.0 until the connection closes. What is small is gathered
    // and sent together; flush() sends it now.
    //
    //   response.add_header("Content-Type", "text/csv");
    //   for (const Row& row : rows)
    //       if (!response.write(row.text(), 10s)) return;     // the client has gone, or takes nothing
    //
    // Suspends: while the client is slow (coroutine); blocks its OS thread (thread). Under Paradigm::event,
    //           and in servlets on the offload pool, nobody may wait, or send: the body is gathered in
    //           memory, and sent whole at the end. For those see stream() and source().
    // Errors:   timed_out, canceled, those of the connection: it is cut when the servlet returns, so that the
    //           client does not take the part for the whole; repeat. too_long: more than 16 MiB gathered;
    //           repeats, and the response is a 500 unless another body is set.
    [[nodiscard]] nutils::IoResult write(std::string_view piece, cutils::Deadline deadline);
    [[nodiscard]] std::error_code flush(cutils::Deadline deadline);

    // The body is written later, from anywhere, and never waits: see ResponseStream. Include
    // "webby/response_stream.h". Of this response, status and fields are sent when the servlet returns.
    // Units: `most`: bytes that may wait for a slow client.
    [[nodiscard]] ResponseStream stream(std::size_t most = 256 * 1024);

    // Sends the client elsewhere. What may not stand in a URI is percent-encoded.
    void redirect(std::string_view location, Status status = Status::found);

    // A short page that says what is wrong; `detail` is for people.
    void error(Status status, std::string_view detail = {});

    // The connection closes after this response.
    void close_connection() { close_ = true; }

    // The response is completed later, through the handle; what this one has so far goes along. What is done
    // to it afterwards is lost. Include "webby/deferred.h". Before: called in serve(), once.
    [[nodiscard]] Deferred defer();

    // For filters, logs and the engine.
    [[nodiscard]] bool closes_connection() const { return close_; }
    // 0 while has_size() is false.
    [[nodiscard]] std::uint64_t body_size() const { return has_text() ? body_.size() : size_; }
    [[nodiscard]] bool has_size() const { return kind_ < Kind::endless; }
    // Empty when the body is a file or a source.
    [[nodiscard]] std::string_view body_text() const { return body_; }
    [[nodiscard]] bool has_text() const { return kind_ <= Kind::gathered; }
    [[nodiscard]] bool has_file() const { return kind_ == Kind::file; }
    [[nodiscard]] bool has_source() const { return kind_ == Kind::source || kind_ == Kind::endless; }
    // The body comes piece by piece, by write(): nothing of it is here.
    [[nodiscard]] bool is_written() const { return kind_ == Kind::written; }
    // What those pieces pass through, after the filters that want response_data; the last one wins. For
    // on_response(). Before: is_written(); coder is not null.
    void code_writes(std::unique_ptr<WriteCoder> coder);
    [[nodiscard]] std::string_view content_type() const { return type_; }

    // For the library's own servlets: fields in wire form ("Name: value\r\n" …) and a type that lives for
    // ever, taken as they are, unchecked.
    void add_trusted(std::string_view fields, std::string_view type) {
        fields_.append(fields);
        type_ = type;
    }

    // For the engine: the fields in wire form; what takes the body along; back to an empty 200.
    [[nodiscard]] std::string_view wire_fields() const { return fields_; }
    // The body is an empty text after take_file() and take_source().
    [[nodiscard]] nutils::UniqueFd take_file();
    [[nodiscard]] std::unique_ptr<BodySource> take_source();
    [[nodiscard]] off_t file_offset() const { return file_offset_; }
    void swap_body(std::string& other) { body_.swap(other); }
    void swap(Response& other);  // all but who defers and who sends
    void clear();

    // For the exchange: who takes what is written, or null; whether defer() was called; what the handle made
    // of it.
    [[nodiscard]] DeferredState* deferred() const { return deferred_; }
    void take_deferred();
    void set_sink(ResponseSink* sink) { sink_ = sink; }
    // From now on is_written(). Until its body is complete there may be a coder: else null.
    void begin_writing();
    [[nodiscard]] WriteCoder* write_coder() const { return coder_.get(); }
    void end_writing() { coder_.reset(); }

  private:
    // gathered: a text that write() makes; endless: a source without a size
    enum class Kind : std::uint8_t { text, gathered, file, source, endless, written };

    // `type` lives for ever.
    void set_body(std::string_view bytes, std::string_view type) {
        drop_other_body();
        body_.clear();
        body_.append(bytes);  // cheaper than assign(): nothing to replace
        type_ = type;
    }
    static Status refuse_status(Status status);
    void set_type(std::string_view type);
    void drop_deferred();
    void drop_other_body() {
        if (kind_ != Kind::text) [[unlikely]]
            drop_what_is_no_text();
    }
    void drop_what_is_no_text();
    [[nodiscard]] std::size_t find_line(std::string_view name, std::size_t from) const;

    std::string fields_;  // "Name: value\r\n", one after the other
    std::string body_;
    std::string_view type_;  // eternal, or in type_storage_
    std::string type_storage_;
    nutils::UniqueFd file_;
    std::unique_ptr<BodySource> source_;
    std::unique_ptr<WriteCoder> coder_;
    std::uint64_t size_ = 0;  // of the file or the source
    off_t file_offset_ = 0;
    DeferredState* deferred_ = nullptr;
    ResponseSink* sink_ = nullptr;
    Status status_ = Status::ok;
    Kind kind_ = Kind::text;
    bool close_ = false;
    bool overflowed_ = false;  // more was written than is gathered
};

}  // namespace webby
