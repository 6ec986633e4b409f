// What Server::metrics_page() shows, and to whom.
#pragma once

#include <string>

#include "cutils/export.h"
#include "webby/metrics.h"
#include "webby/page_access.h"
#include "webby/server_metrics.h"

namespace webby {

struct MetricsPageOptions {
    PageAccess access{.everybody = true};  // Prometheus is elsewhere, as a rule
    const Metrics* own = nullptr;          // the application's, shown with ours. Outlives the server
    bool process = true;                   // process_cpu_seconds_total and what else is known of the process
};

// The page: all of it, as Prometheus reads it.
[[nodiscard]] EVC_API std::string to_prometheus(const ServerMetrics& metrics,
                                                const MetricsPageOptions& options = {});

}  // namespace webby
