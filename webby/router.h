// Router: which servlet answers a method on a path.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cutils/export.h"
#include "cutils/result.h"
#include "webby/http_types.h"
#include "webby/route_params.h"
#include "webby/servlet.h"

namespace webby {

// Patterns are made of segments between slashes, and compared with the decoded, normalised path:
//
//   /about           itself; not /about/
//   /user/:id        /user/7 with id = "7"; not /user/ nor /user/7/x
//   /files/*path     /files/ and everything below, with path = what follows; only as the last segment
//
// A fixed segment wins over ":name", ":name" over "*rest", whatever the order of registration; where the
// better one leads nowhere the next is tried.
//
// Owner:  the application. Filled before the server runs; read by all its threads afterwards.
// Cost:   a path of fixed segments is one look into a hash table; others walk a tree, one step a segment. No
//         recursion, no allocation, no regular expressions.
class EVC_API Router {
  public:
    struct Endpoint {
        std::unique_ptr<Servlet> servlet;
        RouteOptions options;
    };
    // What find() found. No endpoint and nothing allowed: 404; no endpoint: 405, or the answer to OPTIONS.
    struct Match {
        const Endpoint* endpoint = nullptr;
        MethodSet allowed;  // filled only when there is no endpoint
    };

    Router();
    ~Router();
    Router(Router&&) noexcept;
    Router& operator=(Router&&) noexcept;

    // Errors: errc::invalid_argument with what is wrong with the pattern; errc::file_exists when the same
    //         method and pattern are there already.
    cutils::Result<void> add(Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
                             RouteOptions options = {});

    // HEAD is answered by GET's servlet where it has none of its own.
    // Lifetime: params has views into the path and the router.
    [[nodiscard]] Match find(Method method, std::string_view path, RouteParams& params) const;

    // Every method that some route has: the answer to "OPTIONS *".
    [[nodiscard]] MethodSet all_methods() const { return all_methods_; }

  private:
    static constexpr std::size_t kMaxSegments = 32;

    struct Route;
    struct Node;
    class Walk;
    struct Slot {
        std::size_t hash = 0;
        Route* route = nullptr;
    };

    [[nodiscard]] Match find_in_tree(Method method, std::string_view path, RouteParams& params) const;
    [[nodiscard]] const Route* find_fixed(std::string_view path) const;
    void remember_fixed(Route& route);

    std::vector<std::unique_ptr<Route>> routes_;
    std::unique_ptr<Node> root_;
    std::vector<Slot> fixed_;  // the routes without parameters; a power of two, at most half full
    std::size_t fixed_count_ = 0;
    MethodSet all_methods_;
};

// "GET, HEAD, OPTIONS": the value of an Allow field; HEAD comes with GET, OPTIONS always.
[[nodiscard]] EVC_API std::string allow_value(MethodSet methods);

}  // namespace webby
