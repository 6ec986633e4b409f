// MetricsBoard: the cells of a server. Internal.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "webby/metrics_cell.h"
#include "webby/server_metrics.h"

namespace webby {

// Owner: the server. Its cells live as long: what a thread has counted stays when the thread has gone.
// Thread: any.
class MetricsBoard {
  public:
    MetricsCell& add_cell() {
        const std::lock_guard lock(mutex_);
        cells_.push_back(std::make_unique<MetricsCell>());
        return *cells_.back();
    }
    // All but the loops.
    [[nodiscard]] ServerMetrics sum() const;

  private:
    mutable std::mutex mutex_;
    std::vector<std::unique_ptr<MetricsCell>> cells_;
};

}  // namespace webby
