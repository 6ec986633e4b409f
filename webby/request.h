// Request: what a servlet is asked.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "evcorothread/tls_socket.h"
#include "nutils/io_result.h"
#include "nutils/sock_addr.h"
#include "webby/form.h"
#include "webby/forwarded.h"
#include "webby/headers.h"
#include "webby/http_types.h"
#include "webby/request_head.h"
#include "webby/route_params.h"
#include "webby/state_map.h"

namespace webby {

// What a request asks of the connection it came by. The exchange implements it; servlets do not see it.
class RequestSource {
  public:
    virtual nutils::IoResult read_body(std::span<char> buffer, cutils::Deadline deadline) = 0;
    virtual nutils::SockAddr peer() const = 0;
    virtual std::optional<evcorothread::TlsInfo> tls() const { return {}; }
    virtual const ForwardedTrust* trust() const { return nullptr; }
    virtual bool client_gone() const { return false; }
    virtual StateMap& connection_state() const = 0;

  protected:
    ~RequestSource() = default;
};

// Owner:    the connection; a servlet gets a reference that is good until it returns. One thread.
// Lifetime: every string_view here lives as long as the reference.
class EVC_API Request {
  public:
    [[nodiscard]] Method method() const { return head_.method; }
    // As the client wrote it.
    [[nodiscard]] std::string_view method_name() const { return head_.view(head_.method_name); }
    [[nodiscard]] Version version() const { return head_.version; }

    // As the client wrote it, path and query.
    [[nodiscard]] std::string_view target() const { return head_.view(head_.target); }

    // Percent-decoded and normalised: begins with "/", has no "." or ".." segment, no "//", no NUL. "*" for
    // OPTIONS *.
    [[nodiscard]] std::string_view path() const {
        return head_.decoded_path.empty() ? head_.view(head_.path) : std::string_view(head_.decoded_path);
    }

    // What follows the "?", as the client wrote it.
    [[nodiscard]] std::string_view query() const { return head_.view(head_.query); }

    // The decoded value of the first query parameter of that name: in "?q=a+b", query_param("q") is "a b".
    [[nodiscard]] std::optional<std::string> query_param(std::string_view name) const;

    // All of the query's parameters, decoded, in order; several may have the same name.
    // Errors: those of FormFields::parse().
    [[nodiscard]] cutils::Result<FormFields> query_fields(const FormLimits& limits = {}) const {
        return FormFields::parse(query(), limits);
    }

    // What the route's ":name" or "*name" matched; empty when the route has no such part.
    //
    //   server.get("/hello/:name", …)      "/hello/Ada"  ->  param("name") == "Ada"
    [[nodiscard]] std::string param(std::string_view name) const { return std::string(param_view(name)); }
    [[nodiscard]] std::string_view param_view(std::string_view name) const { return params_.find(name); }

    // The host the client asked for, perhaps with ":port"; from an absolute target before Host. Empty with
    // HTTP/1.0.
    [[nodiscard]] std::string_view host() const { return head_.view(head_.authority); }

    [[nodiscard]] const Headers& headers() const { return head_.headers; }
    // The value of the first field of that name, empty when there is none.
    [[nodiscard]] std::string_view header(std::string_view name) const {
        return head_.headers.find(name).value_or(std::string_view());
    }

    // The value of the first cookie of that name. See cookie.h for all of them, and for setting some.
    [[nodiscard]] std::optional<std::string_view> cookie(std::string_view name) const;

    // Whether the client wants the connection kept; the server may close it all the same.
    [[nodiscard]] bool keep_alive() const { return head_.keep_alive; }

    // The whole body. Empty for a route that reads it itself (RouteOptions::stream_body).
    [[nodiscard]] std::string_view body() const { return body_; }

    // The fields of a body that is an application/x-www-form-urlencoded form. For multipart/form-data see
    // multipart.h.
    //
    // Before: not a route that reads its body itself.
    // Errors: errc::not_supported when Content-Type says it is something else; those of FormFields::parse().
    //         refuse_body() answers them.
    [[nodiscard]] cutils::Result<FormFields> form(const FormLimits& limits = {}) const;

    // Content-Length; nothing when there is none or the body is chunked.
    [[nodiscard]] std::optional<std::uint64_t> content_length() const {
        return head_.has_length ? std::optional(head_.content_length) : std::nullopt;
    }

    // Takes what is there of the body, or waits for it. For routes with RouteOptions::stream_body.
    //
    // Suspends: when nothing of the body has arrived yet.
    // After:    on success 1 <= bytes <= buffer.size().
    // Errors:   eof        the body is complete; repeats
    //           timed_out  nothing came within the deadline
    //           too_long   the body is larger than its limit: answer 413 (the engine will if you do not)
    //           truncated  the client went away in the middle
    //           other      malformed chunks (errc::bad_message), or the connection's error
    [[nodiscard]] nutils::IoResult read_body(std::span<char> buffer, cutils::Deadline deadline) {
        return source_->read_body(buffer, deadline);
    }

    // Who has connected; behind a balancer that speaks the PROXY protocol (ServerOptions::proxy_protocol),
    // whose connection it passes on. Cost: one getpeername(2) where the connection does not remember it.
    [[nodiscard]] nutils::SockAddr peer() const { return source_->peer(); }

    // The client, as the proxies on the way say that are trusted (ServerOptions::forwarded); without them the
    // peer. Its address is none when a trusted proxy did not say. Cost: a search of the fields, once.
    [[nodiscard]] const ForwardedClient& client() const;
    // The address alone, for whoever asks at every request. Cost: as peer() where no proxy is trusted.
    [[nodiscard]] nutils::SockAddr client_address() const {
        return source_->trust() != nullptr ? client().address : peer();
    }
    // "https" or "http", as the client spoke to the first trusted proxy, or to us.
    [[nodiscard]] std::string_view scheme() const;

    // What was agreed on with the client, and the certificate it has shown; nothing when the request came
    // without TLS. Cost: a few strings.
    [[nodiscard]] std::optional<evcorothread::TlsInfo> tls() const { return source_->tls(); }

    // Whether nobody waits for the answer any more: the client has closed the connection, its half of it, or
    // has been cut off. For servlets that work long: they may stop. Any thread. Cost: a poll(2).
    [[nodiscard]] bool client_gone() const { return source_->client_gone(); }

    // When the answer has to be ready: RouteOptions::deadline from the servlet's start on. A coroutine's
    // waits end then by themselves, with timed_out; others may look.
    [[nodiscard]] cutils::Deadline deadline() const { return deadline_; }

    // What tells this request from others in logs: a random number and a count, in hex, unless a filter has
    // chosen something else (request_id_filter.h). Lifetime: until set_id().
    [[nodiscard]] std::string_view id() const;
    void set_id(std::string_view id) { id_ = id; }
    [[nodiscard]] bool has_id() const { return !id_.empty(); }  // somebody has asked, or set it
    // Who the client has proved to be; empty when no filter has said so (basic_auth_filter.h).
    [[nodiscard]] const std::string& user() const { return head_.user; }
    void set_user(std::string_view user) { head_.user = user; }

    // What filters and servlets remember of this request, and of this connection.
    [[nodiscard]] StateMap& state() const { return state_; }
    [[nodiscard]] StateMap& connection() const { return source_->connection_state(); }

    // For the exchange, which fills it.
    void set_deadline(cutils::Deadline deadline) { deadline_ = deadline; }
    // Of the last request nothing stays.
    void forget() {
        if (!id_.empty()) [[unlikely]]
            id_.clear();
        if (!state_.empty()) [[unlikely]]
            state_.clear();
        if (client_) [[unlikely]]
            client_.reset();
        deadline_ = cutils::Deadline::never;
    }
    [[nodiscard]] RequestHead& head() { return head_; }
    [[nodiscard]] const RequestHead& head() const { return head_; }
    [[nodiscard]] RouteParams& params() { return params_; }
    [[nodiscard]] std::string& body_storage() { return body_; }
    void set_source(RequestSource& source) { source_ = &source; }

  private:
    RequestHead head_;
    RouteParams params_;
    std::string body_;
    RequestSource* source_ = nullptr;
    cutils::Deadline deadline_ = cutils::Deadline::never;
    mutable std::string id_;
    mutable std::unique_ptr<ForwardedClient> client_;
    mutable StateMap state_;
};

}  // namespace webby
