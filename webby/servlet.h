// Servlet: what answers a request. An interface, and functions that fit it.
#pragma once

#include <chrono>
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
//         at once, each where it suspended. In the thread paradigm, and with several workers, it is called on
//         several OS threads at a time. In the event paradigm it must not wait: see Response::defer().
// Errors: an exception becomes a 500 and one line in the log.
class Servlet {
  public:
    virtual ~Servlet() = default;
    virtual void serve(Request& request, Response& response) = 0;
};

// Whether a servlet makes its caller wait, and where that is done.
//
//   {.blocking = true}               it waits. Refused in the event paradigm, where that would stop all
//                                    others
//   {.blocking = Blocking::offload}  it blocks its OS thread: in the event and coroutine paradigms it runs on
//                                    a pool of threads, its body complete before, while the connection waits
class Blocking {
  public:
    constexpr Blocking(bool blocks = false) : kind_(blocks ? Kind::here : Kind::no) {}
    static const Blocking offload;

    [[nodiscard]] constexpr bool blocks() const { return kind_ != Kind::no; }
    [[nodiscard]] constexpr bool is_offloaded() const { return kind_ == Kind::elsewhere; }

  private:
    enum class Kind : std::uint8_t { no, here, elsewhere };
    constexpr explicit Blocking(Kind kind) : kind_(kind) {}
    Kind kind_;
};
inline constexpr Blocking Blocking::offload{Blocking::Kind::elsewhere};

// How a route wants to be called.
struct RouteOptions {
    std::optional<std::uint64_t> body_limit{};  // instead of Limits::body
    // serve() reads the body with Request::read_body(), and starts at once. Where it must not wait (event) or
    // runs elsewhere (Blocking::offload), it starts when the body is complete.
    bool stream_body = false;
    Blocking blocking{};
    // How long the answer may take from the servlet's start; then it is 503, unless the head is out. A
    // coroutine's waits end in time; a servlet that computes, or blocks its OS thread, is not interrupted,
    // but late all the same. 0: as long as it likes.
    std::chrono::milliseconds deadline{0};
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

// An object for each connection that asks for it: what it remembers is that client's alone, and nothing needs
// a lock. `factory` returns a std::unique_ptr<Servlet>; it is called at the connection's first request, on
// whatever thread serves that; the object goes with the connection. One that throws, or returns null, is
// asked again at the next request; this one is a 500.
//
//   server.add(Method::get, "/next", make_servlet_per_connection([] { return std::make_unique<Counter>();
//   }));
template <class Factory>
class ServletPerConnection final : public Servlet {
  public:
    explicit ServletPerConnection(Factory factory) : factory_(std::move(factory)) {}
    void serve(Request& request, Response& response) override {
        request.connection()
            .get<Servlet>(this, [this] { return std::unique_ptr<Servlet>(factory_()); })
            .serve(request, response);
    }

  private:
    Factory factory_;
};
template <class Factory>
[[nodiscard]] std::unique_ptr<Servlet> make_servlet_per_connection(Factory&& factory) {
    return std::make_unique<ServletPerConnection<std::decay_t<Factory>>>(std::forward<Factory>(factory));
}

template <class F>
concept ServletFunction = std::is_invocable_v<F&, Request&, Response&>;

template <ServletFunction F>
[[nodiscard]] std::unique_ptr<Servlet> make_servlet(F&& function) {
    return std::make_unique<FunctionServlet<std::decay_t<F>>>(std::forward<F>(function));
}

}  // namespace webby
