#include "webby/application.h"

#include <algorithm>
#include <charconv>
#include <exception>
#include <string>
#include <tuple>

#include "cutils/check.h"
#include "cutils/log.h"
#include "webby/ascii.h"
#include "webby/uri.h"

namespace webby {
namespace {

// Whatever the client and the exception say, the id still fits into the line.
void log_exception(const Request& request, const char* what) {
    constexpr std::size_t kPath = 400;
    cutils::log(cutils::LogLevel::error, "%.40s %s: exception: %.1000s [request %s]",
                std::string(request.method_name()).c_str(),
                std::string(request.path().substr(0, kPath)).c_str(), what,
                std::string(request.id()).c_str());
}

// Runs a user's code; what it throws ends here. False: it threw, and the response is a 500.
template <class F>
bool guarded(std::atomic<std::uint64_t>& count, const Request& request, Response* response, F&& run) {
    try {
        run();
        return true;
    } catch (const std::exception& error) {
        log_exception(request, error.what());
    } catch (...) {
        log_exception(request, "not a std::exception");
    }
    count.fetch_add(1, std::memory_order_relaxed);
    if (response != nullptr) {
        response->clear();
        response->error(Status::internal_error);
    }
    return false;
}

std::string lower_case(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = ascii::lower(c);
    return out;
}
std::string_view port_of(std::string_view host) {
    const std::size_t colon = host.rfind(':');
    const bool has_port = colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos;
    return has_port ? host.substr(colon + 1) : std::string_view();
}
// is_valid_host() has seen that it is digits.
bool is_port_or_none(std::string_view port) {
    unsigned number = 1;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    return port.empty() ||
           (error == std::errc() && end == port.data() + port.size() && number >= 1 && number <= 65535);
}
std::string_view name_of(std::string_view host) {
    const std::string_view port = port_of(host);
    if (!port.empty() || host.ends_with(':')) host.remove_suffix(port.size() + 1);
    if (host.ends_with('.')) host.remove_suffix(1);  // the root of all names
    return host;
}

}  // namespace

void FilterLine::add(const KnownFilter& known) {
    stages.push_back({known.filter.get(), known.wants});
    wants.request_data |= known.wants.request_data;
    wants.response_data |= known.wants.response_data;
    wants.close |= known.wants.close;
}

Application::Application() = default;
Application::~Application() = default;

// --- filling it ---

void Application::add_filter(std::unique_ptr<Filter> filter) {
    EVC_CHECK(filter != nullptr, "add_filter() without a filter");
    filters_.emplace_back(std::move(filter));
    rebuild_lines();
}

void Application::add_filter(Site& site, std::unique_ptr<Filter> filter) {
    EVC_CHECK(filter != nullptr, "add_filter() without a filter");
    site.filters_.emplace_back(std::move(filter));
    rebuild_lines();
}

void Application::rebuild_lines() {
    const auto rebuild = [this](Site& site) {
        FilterLine line;
        for (const KnownFilter& known : filters_) line.add(known);
        for (const KnownFilter& known : site.filters_) line.add(known);
        site.line_ = std::move(line);
        wants_close_ |= site.line_.wants.close;
    };
    rebuild(default_);
    for (const auto& site : hosts_) rebuild(*site);
}

cutils::Result<Site*> Application::add_host(std::string_view host) {
    const std::string_view plain = host.starts_with("*.") ? host.substr(2) : host;
    if (name_of(plain).empty() || !is_valid_host(plain) || plain.find('*') != std::string_view::npos ||
        !is_port_or_none(port_of(plain)))
        return cutils::Error(std::make_error_code(std::errc::invalid_argument),
                             "virtual host \"" + std::string(host) + "\": not the name of a host");
    auto site = std::make_unique<Site>();
    site->name_ = lower_case(name_of(host));
    site->port_ = port_of(host);
    for (const auto& there : hosts_)
        if (there->name_ == site->name_ && there->port_ == site->port_)
            return cutils::Error(std::make_error_code(std::errc::file_exists),
                                 "virtual host \"" + std::string(host) + "\" is there already");
    hosts_.push_back(std::move(site));
    // Names before "*.", longer before shorter, those with a port before those without: the first that fits.
    std::stable_sort(hosts_.begin(), hosts_.end(), [](const auto& a, const auto& b) {
        const auto rank = [](const Site& s) {
            return std::tuple(s.name_.starts_with("*."), -static_cast<long>(s.name_.size()), s.port_.empty());
        };
        return rank(*a) < rank(*b);
    });
    Site* const made = std::find_if(hosts_.begin(), hosts_.end(), [&](const auto& one) {
                           return one->name_ == lower_case(name_of(host)) && one->port_ == port_of(host);
                       })->get();
    rebuild_lines();
    return made;
}

Site& Application::common_site() {
    if (common_ == nullptr) common_ = std::make_unique<Site>();
    return *common_;
}

Application::Match Application::find_by_host(Request& request) const {
    if (common_ != nullptr) {
        const Match match = find_in(common_.get(), request);
        if (match.endpoint != nullptr || !match.allowed.empty()) return match;
    }
    return find_in(site_of(request.host()), request);
}

const Site* Application::site_of(std::string_view host) const {
    const std::string_view name = name_of(host);
    const std::string_view port = port_of(host);
    for (const auto& site : hosts_) {
        if (!site->port_.empty() && site->port_ != port) continue;
        const std::string_view theirs = site->name_;
        if (!theirs.starts_with("*.")) {
            if (ascii::equal_ignoring_case(theirs, name)) return site.get();
            continue;
        }
        const std::string_view end = theirs.substr(1);  // ".example.org"
        if (name.size() > end.size() &&
            ascii::equal_ignoring_case(name.substr(name.size() - end.size()), end))
            return site.get();
    }
    return strict_ ? nullptr : &default_;
}

// --- one request ---

bool Application::enter_filters(const Match& match, Request& request, Response& response,
                                std::size_t& entered) const {
    const std::vector<FilterLine::Stage>& stages = match.site->line().stages;
    bool go_on = true;
    const bool done = guarded(exceptions_, request, &response, [&] {
        while (go_on && entered < stages.size())
            go_on = stages[entered++].filter->on_request(request, response);
    });
    return done && go_on;
}

bool Application::request_data(const Match& match, Request& request, Response& response,
                               std::string& piece) const {
    bool go_on = true;
    const bool done = guarded(exceptions_, request, &response, [&] {
        for (const auto& [filter, wants] : match.site->line().stages)
            if (go_on && wants.request_data) go_on = filter->on_request_data(request, response, piece);
    });
    return done && go_on;
}

bool Application::request_end(const Match& match, Request& request, Response& response) const {
    bool go_on = true;
    const bool done = guarded(exceptions_, request, &response, [&] {
        for (const auto& [filter, wants] : match.site->line().stages)
            if (go_on && wants.request_data) go_on = filter->on_request_end(request, response);
    });
    return done && go_on;
}

bool Application::serve_with(Servlet& servlet, Request& request, Response& response) const {
    return guarded(exceptions_, request, &response, [&] { servlet.serve(request, response); });
}

bool Application::serve(const Match& match, Request& request, Response& response) const {
    return guarded(exceptions_, request, &response, [&] {
        if (match.endpoint != nullptr)
            match.endpoint->servlet->serve(request, response);
        else
            answer_itself(match, request, response);
    });
}

void Application::leave_filters(const Match& match, const Request& request, Response& response,
                                std::size_t entered) const {
    while (entered > 0) {
        Filter& filter = *match.site->line().stages[--entered].filter;
        guarded(exceptions_, request, &response, [&] { filter.on_response(request, response); });
    }
}

bool Application::response_data(const Match& match, const Request& request, std::size_t entered,
                                std::string& piece) const {
    return guarded(exceptions_, request, nullptr, [&] {
        while (entered > 0) {
            const auto& [filter, wants] = match.site->line().stages[--entered];
            if (wants.response_data) filter->on_response_data(request, piece);
        }
    });
}

// What one puts behind the body passes those that come after it as a piece.
bool Application::response_end(const Match& match, const Request& request, std::size_t entered,
                               std::string& last) const {
    return guarded(exceptions_, request, nullptr, [&] {
        while (entered > 0) {
            const auto& [filter, wants] = match.site->line().stages[--entered];
            if (!wants.response_data) continue;
            if (!last.empty()) filter->on_response_data(request, last);
            std::string more;
            filter->on_response_end(request, more);
            last += more;
        }
    });
}

void Application::connection_closed(const nutils::SockAddr& peer, std::uint64_t requests,
                                    StateMap& state) const {
    const auto tell = [&](const KnownFilter& known) {
        if (!known.wants.close) return;
        try {
            known.filter->on_close(peer, requests, state);
        } catch (const std::exception& error) {
            cutils::log(cutils::LogLevel::error, "a filter's on_close(): exception: %s", error.what());
        } catch (...) {
            cutils::log(cutils::LogLevel::error, "a filter's on_close(): exception");
        }
    };
    for (const KnownFilter& known : filters_) tell(known);
    for (const KnownFilter& known : default_.filters_) tell(known);
    for (const auto& site : hosts_)
        for (const KnownFilter& known : site->filters_) tell(known);
}

// What no servlet answers.
void Application::answer_itself(const Match& match, const Request& request, Response& response) const {
    if (match.site == nullptr)
        return response.error(Status::misdirected_request, "This server does not serve that host.");
    const bool whole_server = request.path() == "*";
    const MethodSet allowed = whole_server ? match.site->router().all_methods() : match.allowed;
    if (allowed.empty() && !whole_server) return response.error(Status::not_found);
    if (request.method() == Method::options)
        response.status(Status::no_content);
    else
        response.error(Status::method_not_allowed);
    response.add_header("Allow", allow_value(allowed));
}

void Application::run(const Match& match, Request& request, Response& response) const {
    std::size_t entered = 0;
    if (enter(match, request, response, entered)) (void)serve(match, request, response);
    leave(match, request, response, entered);
}

}  // namespace webby
