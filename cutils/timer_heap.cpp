#include "cutils/timer_heap.h"

#include <algorithm>

#include "cutils/scope_exit.h"

namespace cutils {
namespace {
constexpr std::size_t kArity = 4;  // four children share a cache line
}

void TimerHeap::grow(std::size_t nodes) { entries_.reserve(std::max(nodes, entries_.capacity() * 2)); }

void TimerHeap::insert(TimerNode& node, std::int64_t key) {
    entries_.push_back({key, &node});
    sift_up(entries_.size() - 1, entries_.back());
}

void TimerHeap::move_earlier(TimerNode& node, std::int64_t key) { sift_up(node.slot_, {key, &node}); }

void TimerHeap::sift_up(std::size_t slot, Entry entry) {
    while (slot > 0) {
        const std::size_t parent = (slot - 1) / kArity;
        if (entries_[parent].key <= entry.key) break;
        place(slot, entries_[parent]);
        slot = parent;
    }
    place(slot, entry);
}

void TimerHeap::sift_down(std::size_t slot, Entry entry) {
    const std::size_t count = entries_.size();
    for (;;) {
        const std::size_t first = slot * kArity + 1;
        if (first >= count) break;
        std::size_t least = first;
        const std::size_t end = std::min(first + kArity, count);
        for (std::size_t child = first + 1; child < end; ++child)
            if (entries_[child].key < entries_[least].key) least = child;
        if (entries_[least].key >= entry.key) break;
        place(slot, entries_[least]);
        slot = least;
    }
    place(slot, entry);
}

void TimerHeap::take_out(std::size_t slot) {
    entries_[slot].node->slot_ = TimerNode::kNone;
    const Entry last = entries_.back();
    entries_.pop_back();
    if (slot == entries_.size()) return;
    if (slot > 0 && last.key < entries_[(slot - 1) / kArity].key)
        sift_up(slot, last);
    else
        sift_down(slot, last);
}

// The top's key is older than what its node wants: give it the right place, or none.
void TimerHeap::refresh_top() {
    TimerNode& node = *entries_[0].node;
    if (node.due_ == TimerNode::kNever)
        take_out(0);
    else
        sift_down(0, {node.due_, &node});
}

TimePoint TimerHeap::next_due() {
    while (!entries_.empty() && entries_[0].key < entries_[0].node->due_) refresh_top();
    return entries_.empty() ? TimePoint::max() : TimePoint(Duration(entries_[0].key));
}

std::size_t TimerHeap::run_due(TimePoint now) {
    const std::int64_t limit = now.time_since_epoch().count();
    const std::int64_t before = earliest_key_;
    const ScopeExit restore([&] { earliest_key_ = before; });
    if (limit < TimerNode::kNever) earliest_key_ = limit + 1;
    std::size_t ran = 0;
    while (!entries_.empty() && entries_[0].key <= limit) {
        TimerNode& node = *entries_[0].node;
        // Moved to a later time, which may be due as well: it runs at its new place in the order.
        if (entries_[0].key < node.due_) {
            refresh_top();
            continue;
        }
        take_out(0);
        node.due_ = TimerNode::kNever;
        node.on_due_(node);
        ++ran;
    }
    return ran;
}

}  // namespace cutils
