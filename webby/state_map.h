// StateMap: what filters and servlets keep about one request or one connection.
#pragma once

#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace webby {

// Values of any type, each under its owner's address. Request::state() lives as long as its request,
// Request::connection() as long as the connection.
//
//   struct Seen { int requests = 0; };
//   ++request.connection().get<Seen>(this).requests;
//
// Owner: the request, or the connection. Used by whoever serves that, one at a time: nothing to lock.
// Cost:  a search among what is there, usually nothing or one; an allocation for the first of each kind.
class StateMap {
  public:
    StateMap() = default;
    StateMap(StateMap&&) noexcept = default;
    StateMap& operator=(StateMap&&) noexcept = default;
    ~StateMap() { clear(); }

    // The owner's T; made by make() the first time. Lifetime: until the request, or the connection, ends.
    // Errors: what make() throws; std::invalid_argument where it returns null.
    template <class T, class Make>
    T& get(const void* owner, Make&& make) {
        for (const Slot& slot : slots_)
            if (slot.owner == owner && slot.destroy == &destroy<T>) return *static_cast<T*>(slot.value);
        slots_.reserve(slots_.size() + 1);
        T* const made = std::forward<Make>(make)().release();
        if (made == nullptr) throw std::invalid_argument("a value for a StateMap was not made: null");
        slots_.push_back({owner, made, &destroy<T>});
        return *made;
    }
    template <class T>
    T& get(const void* owner) {
        return get<T>(owner, [] { return std::make_unique<T>(); });
    }
    // Null when there is none.
    template <class T>
    [[nodiscard]] T* find(const void* owner) const {
        for (const Slot& slot : slots_)
            if (slot.owner == owner && slot.destroy == &destroy<T>) return static_cast<T*>(slot.value);
        return nullptr;
    }
    // The last one made goes first.
    void clear() {
        while (!slots_.empty()) {
            const Slot slot = slots_.back();
            slots_.pop_back();
            slot.destroy(slot.value);
        }
    }
    [[nodiscard]] bool empty() const { return slots_.empty(); }

  private:
    struct Slot {
        const void* owner;
        void* value;
        void (*destroy)(void*);
    };
    template <class T>
    static void destroy(void* value) {
        delete static_cast<T*>(value);
    }
    std::vector<Slot> slots_;
};

}  // namespace webby
