// Application: what a server serves. Hosts, routes, filters, and how one request goes through them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
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

// A filter, and what it said that it wants to see.
struct KnownFilter {
    explicit KnownFilter(std::unique_ptr<Filter> which) : filter(std::move(which)), wants(filter->wants()) {}
    std::unique_ptr<Filter> filter;
    Filter::Wants wants;
};

// The filters that a site's requests pass, in their order, and what any of them wants to see.
struct FilterLine {
    struct Stage {
        Filter* filter;
        Filter::Wants wants;
    };
    std::vector<Stage> stages;
    Filter::Wants wants;
    void add(const KnownFilter& known);
};

// What is served under one name, or under all others.
class EVC_API Site {
  public:
    // Errors: as Router::add.
    cutils::Result<void> add(Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
                             RouteOptions options = {}) {
        return router_.add(method, pattern, std::move(servlet), options);
    }
    [[nodiscard]] const Router& router() const { return router_; }
    [[nodiscard]] const FilterLine& line() const { return line_; }

  private:
    friend class Application;
    std::string name_;
    std::string port_;  // empty: any
    Router router_;
    std::vector<KnownFilter> filters_;
    FilterLine line_;
};

// Knows nothing of connections or of who drives them: give it a Request and a Response.
//
// Owner: the server, or a test. Filled before the first request; only read afterwards, by any thread.
class EVC_API Application {
  public:
    Application();
    Application(const Application&) = delete;
    Application& operator=(const Application&) = delete;
    ~Application();

    // --- filling it ---

    // To the default site, which serves every name that has none of its own.
    cutils::Result<void> add(Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
                             RouteOptions options = {}) {
        return default_.add(method, pattern, std::move(servlet), options);
    }
    // For all sites, before their own.
    void add_filter(std::unique_ptr<Filter> filter);
    void add_filter(Site& site, std::unique_ptr<Filter> filter);

    // The site of a name: "example.org", "*.example.org" (any name below it), "example.org:8080" (only when
    // the client names that port), "[::1]". Upper and lower case are the same.
    // Errors: errc::invalid_argument when it is no host; errc::file_exists.
    cutils::Result<Site*> add_host(std::string_view host);
    [[nodiscard]] Site& default_site() { return default_; }
    // From now on other names than those of add_host() are answered with 421.
    void refuse_unknown_hosts() { strict_ = true; }
    // What is the same under every name, even one that is refused: looked at before all sites, and seen by no
    // filter. For whoever watches the server.
    [[nodiscard]] Site& common_site();

    // --- one request ---

    struct Match : Router::Match {
        const Site* site = nullptr;  // null: a name that is not served here
    };
    // Who will answer; fills the request's parameters. Called when the head is complete.
    [[nodiscard]] Match find(Request& request) const {
        if (!hosts_.empty() || strict_ || common_ != nullptr) [[unlikely]]
            return find_by_host(request);
        return find_in(&default_, request);
    }

    // The steps of a request, in their order. None throws: an exception becomes a 500, which stops it.
    // Suspend: where a filter or servlet does.
    //
    // `entered` counts the filters whose on_request() has run. False: answered.
    [[nodiscard]] bool enter(const Match& match, Request& request, Response& response,
                             std::size_t& entered) const {
        if (match.site == nullptr || match.site->line().stages.empty()) [[likely]]
            return true;
        return enter_filters(match, request, response, entered);
    }
    [[nodiscard]] bool request_data(const Match& match, Request& request, Response& response,
                                    std::string& piece) const;
    [[nodiscard]] bool request_end(const Match& match, Request& request, Response& response) const;
    // Runs the servlet, or answers 404, 405, 421, OPTIONS itself. False: it threw.
    bool serve(const Match& match, Request& request, Response& response) const;
    // The same of a servlet that is known, on whatever thread.
    bool serve_with(Servlet& servlet, Request& request, Response& response) const;
    void leave(const Match& match, const Request& request, Response& response, std::size_t entered) const {
        if (entered > 0) leave_filters(match, request, response, entered);
    }
    // False: a filter threw.
    [[nodiscard]] bool response_data(const Match& match, const Request& request, std::size_t entered,
                                     std::string& piece) const;
    [[nodiscard]] bool response_end(const Match& match, const Request& request, std::size_t entered,
                                    std::string& last) const;

    // Whether anybody wants to hear of a connection's end, and telling them.
    [[nodiscard]] bool wants_close() const { return wants_close_; }
    void connection_closed(const nutils::SockAddr& peer, std::uint64_t requests, StateMap& state) const;

    // How often servlets and filters have thrown. Any thread.
    [[nodiscard]] std::uint64_t exceptions() const { return exceptions_.load(std::memory_order_relaxed); }

    // All of it at once, for tests. Before: match came from find() for this request; its body is there.
    void run(const Match& match, Request& request, Response& response) const;

  private:
    Match find_in(const Site* site, Request& request) const {
        if (site == nullptr) return {};
        return {site->router_.find(request.method(), request.path(), request.params()), site};
    }
    [[nodiscard]] Match find_by_host(Request& request) const;
    [[nodiscard]] const Site* site_of(std::string_view host) const;
    [[nodiscard]] bool enter_filters(const Match& match, Request& request, Response& response,
                                     std::size_t& entered) const;
    void leave_filters(const Match& match, const Request& request, Response& response,
                       std::size_t entered) const;
    void answer_itself(const Match& match, const Request& request, Response& response) const;
    void rebuild_lines();

    Site default_;
    std::vector<std::unique_ptr<Site>> hosts_;
    std::unique_ptr<Site> common_;
    std::vector<KnownFilter> filters_;  // of all
    bool strict_ = false;
    bool wants_close_ = false;
    mutable std::atomic<std::uint64_t> exceptions_{0};
};

}  // namespace webby
