// OffloadedServlet: runs a servlet that blocks its OS thread on a pool of threads. Internal.
#pragma once

#include <memory>

#include "evcorothread/offload.h"
#include "webby/paradigm.h"
#include "webby/servlet.h"

namespace webby {

class Application;

// For Blocking::offload; `paradigm` says who waits: the coroutine, or nobody (event: the response is
// deferred), `application` what becomes of exceptions. Lifetime: the pool outlives the requests, and ends
// before the servlet; so does the application.
[[nodiscard]] std::unique_ptr<Servlet> make_offloaded(std::unique_ptr<Servlet> servlet,
                                                      evcorothread::OffloadPool& pool, Paradigm paradigm,
                                                      const Application& application);

}  // namespace webby
