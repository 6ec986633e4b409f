#include "evcorothread/coroutine_local.h"

#include <algorithm>
#include <atomic>
#include <cstddef>

#include "evcorothread/loop_core_internal.h"

namespace evcorothread {

// The values of one coroutine, by key: a hash table with chains, whose keys are numbered in order and so
// spread by themselves, and a list in the order of making.
struct LocalValues {
    LocalValues() = default;
    LocalValues(const LocalValues&) = delete;
    LocalValues& operator=(const LocalValues&) = delete;
    ~LocalValues() {
        if (slots != first_slots) delete[] slots;
    }

    LocalValue*& slot(std::uint64_t key) const { return slots[key & (slot_count - 1)]; }

    [[nodiscard]] LocalValue* find(std::uint64_t key) const {
        LocalValue* value = slot(key);
        while (value != nullptr && value->key != key) value = value->next_in_slot;
        return value;
    }

    void add(LocalValue& value) {
        if (count == slot_count) grow();
        put_in_slot(value);
        value.older = newest;
        if (newest != nullptr) newest->newer = &value;
        newest = &value;
        ++count;
    }

    void take(LocalValue& value) {
        LocalValue** link = &slot(value.key);
        while (*link != &value) link = &(*link)->next_in_slot;
        *link = value.next_in_slot;
        (value.newer != nullptr ? value.newer->older : newest) = value.older;
        if (value.older != nullptr) value.older->newer = value.newer;
        --count;
    }

    void put_in_slot(LocalValue& value) const {
        value.next_in_slot = slot(value.key);
        slot(value.key) = &value;
    }

    void grow() {
        auto* const larger = new LocalValue*[slot_count * 2]();
        if (slots != first_slots) delete[] slots;
        slots = larger;
        slot_count *= 2;
        for (LocalValue* value = newest; value != nullptr; value = value->older) put_in_slot(*value);
    }

    LocalValue* newest = nullptr;
    std::size_t count = 0;
    std::size_t slot_count = 8;
    LocalValue* first_slots[8] = {};
    LocalValue** slots = first_slots;
};

namespace {
std::uint64_t next_key() {
    static constinit std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}
}  // namespace

CoroutineLocalKey::CoroutineLocalKey() : key_(next_key()) {}

LocalValue* CoroutineLocalKey::find() const {
    const LocalValues* const values = ThreadCore::current().locals();
    return values != nullptr ? values->find(key_) : nullptr;
}

void CoroutineLocalKey::add(LocalValue& value) const {
    LocalValues& values = ThreadCore::current().make_locals();
    EVC_CHECK(values.find(key_) == nullptr, "a CoroutineLocal's factory uses the value it is making");
    value.key = key_;
    values.add(value);
}

LocalValue* CoroutineLocalKey::take() const {
    LocalValue* const value = find();
    if (value != nullptr) t_here.thread->locals_table->take(*value);
    return value;
}

LocalValues& ThreadCore::make_locals() {
    if (!has_locals) {
        locals_table = new LocalValues;
        has_locals = true;
    }
    return *locals_table;
}

// Each is out of the table before its destructor runs, which may use other values, and make new ones: these
// are the newest then.
void ThreadCore::destroy_locals() {
    std::size_t attempts_left = locals_table->count + 1000;
    while (LocalValue* const value = locals_table->newest) {
        EVC_CHECK(attempts_left-- > 0, "destructors of CoroutineLocals make new values again and again");
        locals_table->take(*value);
        value->destroy(*value);
    }
    delete locals_table;
    has_locals = false;
}

}  // namespace evcorothread
