// Routes: the short names for adding servlets, which Server and VirtualHost share.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "webby/http_types.h"
#include "webby/servlet.h"

namespace webby {

// Self has add(Method, pattern, servlet, options).
template <class Self>
class Routes {
  public:
    template <ServletFunction F>
    void get(std::string_view pattern, F&& function, RouteOptions options = {}) {
        route(Method::get, pattern, std::forward<F>(function), options);
    }
    template <ServletFunction F>
    void post(std::string_view pattern, F&& function, RouteOptions options = {}) {
        route(Method::post, pattern, std::forward<F>(function), options);
    }
    template <ServletFunction F>
    void put(std::string_view pattern, F&& function, RouteOptions options = {}) {
        route(Method::put, pattern, std::forward<F>(function), options);
    }
    template <ServletFunction F>
    void del(std::string_view pattern, F&& function, RouteOptions options = {}) {
        route(Method::del, pattern, std::forward<F>(function), options);
    }
    template <ServletFunction F>
    void patch(std::string_view pattern, F&& function, RouteOptions options = {}) {
        route(Method::patch, pattern, std::forward<F>(function), options);
    }

  private:
    template <class F>
    void route(Method method, std::string_view pattern, F&& function, const RouteOptions& options) {
        static_cast<Self*>(this)->add(method, pattern, make_servlet(std::forward<F>(function)), options);
    }
    friend Self;
    Routes() = default;
};

}  // namespace webby
