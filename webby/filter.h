// Filter: what sees every request before its servlet and every response after it.
#pragma once

#include "webby/request.h"
#include "webby/response.h"

namespace webby {

// Filters form a line: on_request() in the order they were added, then the servlet, then on_response() in the
// opposite order, of those filters whose on_request() had run.
//
// Owner:  the application; one object for all requests. Threads and errors as for Servlet.
class Filter {
  public:
    virtual ~Filter() = default;

    // May change the response ahead of the servlet, or answer itself: then it returns false, and neither
    // later filters nor the servlet run.
    [[nodiscard]] virtual bool on_request(Request& request, Response& response) {
        (void)request, (void)response;
        return true;
    }
    // May change the response. Also sees what the server answered itself (404, 405, 500).
    virtual void on_response(const Request& request, Response& response) { (void)request, (void)response; }
};

}  // namespace webby
