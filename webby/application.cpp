#include "webby/application.h"

#include <exception>
#include <string>

#include "cutils/log.h"

namespace webby {
namespace {

// Runs a user's code; what it throws ends here.
template <class F>
void guarded(const Request& request, Response& response, F&& run) {
    const auto fail = [&](const char* what) {
        cutils::log(cutils::LogLevel::error, "%s %s: exception: %s", std::string(request.method_name()).c_str(),
                    std::string(request.path()).c_str(), what);
        response.clear();
        response.error(Status::internal_error);
    };
    try {
        run();
    } catch (const std::exception& error) {
        fail(error.what());
    } catch (...) {
        fail("not a std::exception");
    }
}

}  // namespace

void Application::run(const Router::Match& match, Request& request, Response& response) const {
    if (filters_.empty()) return guarded(request, response, [&] { answer(match, request, response); });

    std::size_t entered = 0;
    guarded(request, response, [&] {
        while (entered < filters_.size())
            if (!filters_[entered++]->on_request(request, response)) return;
        answer(match, request, response);
    });
    while (entered > 0) {
        Filter& filter = *filters_[--entered];
        guarded(request, response, [&] { filter.on_response(request, response); });
    }
}

void Application::answer(const Router::Match& match, Request& request, Response& response) const {
    if (match.endpoint != nullptr) return match.endpoint->servlet->serve(request, response);
    const bool whole_server = request.path() == "*";
    const MethodSet allowed = whole_server ? router_.all_methods() : match.allowed;
    if (allowed.empty() && !whole_server) return response.error(Status::not_found);
    if (request.method() == Method::options)
        response.status(Status::no_content);
    else
        response.error(Status::method_not_allowed);
    response.set_header("Allow", allow_value(allowed));
}

}  // namespace webby
