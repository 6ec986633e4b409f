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
        cutils::log(cutils::LogLevel::error, "%s %s: exception: %s",
                    std::string(request.method_name()).c_str(), std::string(request.path()).c_str(), what);
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

std::size_t Application::begin(const Router::Match& match, Request& request, Response& response) const {
    if (!filters_.empty()) return begin_filtered(match, request, response);
    guarded(request, response, [&] { answer(match, request, response); });
    return 0;
}

std::size_t Application::begin_filtered(const Router::Match& match, Request& request,
                                        Response& response) const {
    std::size_t entered = 0;
    guarded(request, response, [&] {
        while (entered < filters_.size())
            if (!filters_[entered++]->on_request(request, response)) return;
        answer(match, request, response);
    });
    return entered;
}

void Application::leave_filters(const Request& request, Response& response, std::size_t entered) const {
    while (entered > 0) {
        Filter& filter = *filters_[--entered];
        guarded(request, response, [&] { filter.on_response(request, response); });
    }
}

// What no servlet answers.
void Application::answer_itself(MethodSet allowed, const Request& request, Response& response) const {
    const bool whole_server = request.path() == "*";
    if (whole_server) allowed = router_.all_methods();
    if (allowed.empty() && !whole_server) return response.error(Status::not_found);
    if (request.method() == Method::options)
        response.status(Status::no_content);
    else
        response.error(Status::method_not_allowed);
    response.set_header("Allow", allow_value(allowed));
}

}  // namespace webby
