// TimerHeap: which deadline comes next, for 100,000 of them. A 4-ary heap of (time, node) pairs whose nodes
// live in what waits; re-arming later is one store.
//
// Owner: nodes belong to the waiter and must be removed before they die. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "cutils/check.h"
#include "cutils/clock.h"
#include "cutils/export.h"

namespace cutils {

// One timer. Embedded in what waits; not movable while armed or lazily in the heap.
class TimerNode {
  public:
    using Callback = void (*)(TimerNode& node);
    explicit TimerNode(Callback on_due) : on_due_(on_due) {}
    TimerNode(const TimerNode&) = delete;
    TimerNode& operator=(const TimerNode&) = delete;
    ~TimerNode() { EVC_CHECK(!in_heap(), "a TimerNode dies while it is in its heap: remove it first"); }

    [[nodiscard]] bool armed() const { return due_ != kNever; }
    // Must it be removed before it dies? Also one that was disarmed, until its old time.
    [[nodiscard]] bool in_heap() const { return slot_ != kNone; }
    // When it is due, while armed.
    [[nodiscard]] TimePoint due() const { return TimePoint(Duration(due_)); }

  private:
    friend class TimerHeap;
    static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
    static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

    Callback on_due_;
    std::int64_t due_ = kNever;   // what the owner wants
    std::uint32_t slot_ = kNone;  // where it stands in the heap, whose key may be earlier than due_
};

// Lazy both ways: arm() to a later time and disarm() only store; the heap finds out when the old time comes.
class EVC_API TimerHeap {
  public:
    // Arms, or re-arms, the node. Cost: a store when it is in the heap with an earlier or equal time, else
    // O(log n). Errors: std::bad_alloc, and the node is not armed; see reserve().
    void arm(TimerNode& node, TimePoint due) {
        const std::int64_t wanted = due.time_since_epoch().count();
        const std::int64_t key = wanted > earliest_key_ ? wanted : earliest_key_;
        if (node.slot_ == TimerNode::kNone)
            insert(node, key);
        else if (key < entries_[node.slot_].key)
            move_earlier(node, key);
        node.due_ = wanted;
    }
    // The node will not fire. It may stay in the heap until its old time: remove() before it dies.
    void disarm(TimerNode& node) { node.due_ = TimerNode::kNever; }
    // Takes the node out for good. Cost: O(log n) when it is in the heap, nothing otherwise.
    void remove(TimerNode& node) {
        node.due_ = TimerNode::kNever;
        if (node.slot_ != TimerNode::kNone) take_out(node.slot_);
    }

    // When next to look: the earliest armed time; TimePoint::max() when none is. Tidies stale entries on the
    // way.
    [[nodiscard]] TimePoint next_due();

    // A time before which nothing is due: next_due() or earlier, when nodes have been moved on or disarmed
    // since. Looking then, in vain, is cheaper than tidying at every question. Cost: a load.
    [[nodiscard]] TimePoint next_look() const {
        return entries_.empty() ? TimePoint::max() : TimePoint(Duration(entries_[0].key));
    }

    // Calls on_due of every node due at `now`, disarmed first, in order of time; a callback may arm, disarm
    // and remove any node. Returns how many. Nodes armed meanwhile for a time already passed wait for a
    // call with a later `now`, if only by a nanosecond; but for those that stand in the heap with such a time
    // anyway. So it ends, whatever they do.
    std::size_t run_due(TimePoint now);

    [[nodiscard]] std::size_t size() const { return entries_.size(); }

    // Makes room for `nodes`, so that arming them cannot fail for want of memory. May throw std::bad_alloc.
    void reserve(std::size_t nodes) {
        if (nodes > entries_.capacity()) grow(nodes);
    }

  private:
    struct Entry {
        std::int64_t key;
        TimerNode* node;
    };
    void grow(std::size_t nodes);
    void insert(TimerNode& node, std::int64_t key);
    void move_earlier(TimerNode& node, std::int64_t key);
    void take_out(std::size_t slot);
    void refresh_top();
    void sift_up(std::size_t slot, Entry entry);
    void sift_down(std::size_t slot, Entry entry);
    void place(std::size_t slot, Entry entry) {
        entries_[slot] = entry;
        entry.node->slot_ = static_cast<std::uint32_t>(slot);
    }
    std::vector<Entry> entries_;
    // While run_due() runs: just behind its limit, so that what a callback arms is not met again.
    std::int64_t earliest_key_ = std::numeric_limits<std::int64_t>::min();
};

}  // namespace cutils
