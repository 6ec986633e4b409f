// Servlet: what answers a request. An interface, and functions that fit it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "webby/request.h"
#include "webby/response.h"

namespace webby {

// Written once, in blocking style, whoever drives it: reading the body, asking a database through an
// EvSocket, sleeping. The response starts as an empty 200.
//
// Owner:  the application; there is one object for all requests, so what it keeps is shared between them.
// Thread: those of the server that has it; with a single loop that is one, but two requests can be in serve()
//         at once, each where it suspended.
// Errors: an exception becomes a 500 and one line in the log.
class Servlet {
  public:
    virtual ~Servlet() = default;
    virtual void serve(Request& request, Response& response) = 0;
};

// How a route wants to be called.
struct RouteOptions {
    std::optional<std::uint64_t> body_limit{};  // instead of Limits::body
    bool stream_body = false;  // serve() starts at once and reads the body with Request::read_body()
};

// Anything that can be called like a servlet.
template <class F>
class FunctionServlet final : public Servlet {
  public:
    explicit FunctionServlet(F function) : function_(std::move(function)) {}
    void serve(Request& request, Response& response) override { function_(request, response); }

  private:
    F function_;
};

template <class F>
concept ServletFunction = std::is_invocable_v<F&, Request&, Response&>;

template <ServletFunction F>
[[nodiscard]] std::unique_ptr<Servlet> make_servlet(F&& function) {
    return std::make_unique<FunctionServlet<std::decay_t<F>>>(std::forward<F>(function));
}

}  // namespace webby
