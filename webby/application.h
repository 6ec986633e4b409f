// Application: what a server serves. Routes, filters, and how one request goes through them.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "cutils/export.h"
#include "cutils/result.h"
#include "webby/filter.h"
#include "webby/http_types.h"
#include "webby/request.h"
#include "webby/response.h"
#include "webby/router.h"
#include "webby/servlet.h"

namespace webby {

// Knows nothing of connections or of who drives them: give it a Request and a Response.
//
// Owner: the server, or a test. Filled before the first request; only read afterwards, by any thread.
class EVC_API Application {
  public:
    cutils::Result<void> add(Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
                             RouteOptions options = {}) {
        return router_.add(method, pattern, std::move(servlet), options);
    }
    void add_filter(std::unique_ptr<Filter> filter) { filters_.push_back(std::move(filter)); }

    // Who will answer; fills the request's parameters. Called when the head is complete.
    [[nodiscard]] Router::Match find(Request& request) const {
        return router_.find(request.method(), request.path(), request.params());
    }

    // Runs filters and servlet, or answers 404, 405, OPTIONS itself. Never throws: an exception becomes a
    // 500.
    //
    // Before:   match came from find() for this request; its body is there, unless the route streams it.
    // Suspends: where a servlet or filter does.
    void run(const Router::Match& match, Request& request, Response& response) const {
        finish(request, response, begin(match, request, response));
    }

    // The same in two steps, for responses that are deferred in between: up to the servlet's end, returning
    // how many filters were entered; and the way back through those.
    [[nodiscard]] std::size_t begin(const Router::Match& match, Request& request, Response& response) const;
    void finish(const Request& request, Response& response, std::size_t entered) const {
        if (entered > 0) leave_filters(request, response, entered);
    }

  private:
    void leave_filters(const Request& request, Response& response, std::size_t entered) const;
    [[nodiscard]] std::size_t begin_filtered(const Router::Match& match, Request& request,
                                             Response& response) const;
    void answer(const Router::Match& match, Request& request, Response& response) const {
        if (match.endpoint != nullptr) return match.endpoint->servlet->serve(request, response);
        answer_itself(match.allowed, request, response);
    }
    void answer_itself(MethodSet allowed, const Request& request, Response& response) const;

    Router router_;
    std::vector<std::unique_ptr<Filter>> filters_;
};

}  // namespace webby
