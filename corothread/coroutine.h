// Coroutine: a function that can stop in the middle, hand out a value, and go on when it is resumed with
// another. Asymmetric and stackful: it may yield from any depth of calls. Knows nothing of sockets, events or
// time.
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "corothread/stack_pool.h"
#include "cutils/check.h"
#include "cutils/export.h"

namespace corothread {

// A coroutine's life. Every transition but those drawn is a bug and aborts:
//
//   created ──resume──▶ running ──yield──▶ suspended ──resume──▶ running
//      │                   └──body returns or throws──▶ finished
//      └──────kill (nothing has run, so nothing unwinds)──▶ finished
enum class CoroutineState { created, running, suspended, finished };

EVC_API const char* to_string(CoroutineState state);

// What yield throws in a coroutine that is being killed. Not a std::exception, so that ordinary handlers let
// it pass; a catch (...) must rethrow it.
struct EVC_API CoroutineKilled {};

// What all coroutines have in common; use Coroutine or Generator.
class EVC_API CoroutineBase {
  public:
    CoroutineBase(const CoroutineBase&) = delete;
    CoroutineBase& operator=(const CoroutineBase&) = delete;

    [[nodiscard]] CoroutineState state() const;
    [[nodiscard]] bool finished() const { return state() == CoroutineState::finished; }

    // Ends a suspended coroutine from inside: its pending yield throws CoroutineKilled (or try_yield returns
    // nothing), and so does every later one, until the body returns. What the body owned is destroyed in the
    // usual order; the stack itself is never pulled away. On a finished coroutine: nothing. Before: not
    // called by the coroutine itself. A body that goes on yielding after 1,000 kills is a bug and aborts.
    // Errors: an exception other than CoroutineKilled that leaves the body comes out here.
    void kill();

  protected:
    CoroutineBase() = default;
    CoroutineBase(CoroutineBase&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
    CoroutineBase& operator=(CoroutineBase&& other) noexcept;
    ~CoroutineBase();  // kills; an exception that comes out of it is logged

    struct Block;  // the control block, at the top of the coroutine's own stack
    struct BodyType {
        std::size_t size;
        std::size_t alignment;
        void (*run)(void* body, Block& block);  // calls, then destroys
        void (*destroy)(void* body) noexcept;
    };
    // Takes a stack and makes room for the body on it. Throws std::system_error
    // (errc::resource_unavailable_try_again) when the pool is empty.
    static Block* create(StackPool& pool, const BodyType& type, void*& body_memory);
    static void discard(Block* block);

    // Switches into the coroutine until it yields or ends; rethrows what it threw. `in` and `out` are where
    // values cross, this time.
    void resume_with(void* in, void* out);
    // Inside: hands over to whoever resumed. False when the coroutine is being killed.
    static bool yield_in(Block& block);
    static void* input_of(Block& block);
    static void* output_of(Block& block);

    Block* block_ = nullptr;
};

// A coroutine that yields Out values and is resumed with In values (either may be void).
//
//   Coroutine<int, std::string> parser(pool, [](auto& yield, std::string first) {
//       std::string next = yield(static_cast<int>(first.size()));   // suspends; resumes with the next string
//       yield(0);
//   });
//   std::optional<int> n = parser.resume("abc");   // 3; empty once the body has returned
//
// Owner:   the Coroutine object; destroying it kills what is suspended (see kill). Movable.
// Thread:  resumed, and killed while suspended, only on the OS thread that first resumed it; anything else
//          aborts.
// Errors:  the constructor throws std::system_error when the pool has no free stack. An exception that leaves
//          the body comes out of the resume() that was under way; the coroutine is finished then.
// Cost:    about 10 ns to create, two switches (about 10 ns) a resume; no allocation beyond the stack.
template <class Out, class In = void>
class Coroutine : public CoroutineBase {
    static constexpr bool kOut = !std::is_void_v<Out>;
    static constexpr bool kIn = !std::is_void_v<In>;
    using OutValue = std::conditional_t<kOut, Out, bool>;
    using InValue = std::conditional_t<kIn, In, bool>;

  public:
    // Given to the body, to yield with. Lives as long as the body runs; usable at any call depth.
    class Yield {
      public:
        // Hands `value` to the resumer and waits to be resumed; returns what the resumer passed.
        // Errors: throws CoroutineKilled when the coroutine is being killed.
        template <class... Value>
        In operator()(Value&&... value) {
            put(std::forward<Value>(value)...);
            if (!CoroutineBase::yield_in(block_)) throw CoroutineKilled();
            if constexpr (kIn) return std::move(*static_cast<InValue*>(CoroutineBase::input_of(block_)));
        }
        // The same, without exceptions: nothing when the coroutine is being killed (then return soon). With
        // In = void the optional holds `true`.
        template <class... Value>
        [[nodiscard]] std::optional<InValue> try_yield(Value&&... value) {
            put(std::forward<Value>(value)...);
            if (!CoroutineBase::yield_in(block_)) return std::nullopt;
            if constexpr (kIn)
                return std::move(*static_cast<InValue*>(CoroutineBase::input_of(block_)));
            else
                return true;
        }

      private:
        friend class Coroutine;
        explicit Yield(Block& block) : block_(block) {}
        template <class... Value>
        void put(Value&&... value) {
            static_assert(sizeof...(Value) == (kOut ? 1 : 0), "yield takes exactly one value of type Out");
            void* const out = CoroutineBase::output_of(block_);
            if (out == nullptr) return;  // being killed: nobody takes the value
            if constexpr (kOut)
                static_cast<std::optional<OutValue>*>(out)->emplace(std::forward<Value>(value)...);
            else
                static_cast<std::optional<OutValue>*>(out)->emplace(true);
        }
        Block& block_;
    };

    // The body is called as body(Yield&, In first) or, with In = void, body(Yield&), at the first resume.
    template <class F>
    requires(!std::derived_from<std::remove_cvref_t<F>, CoroutineBase>) Coroutine(StackPool& pool, F&& body) {
        using Body = std::decay_t<F>;
        static constexpr BodyType type{sizeof(Body), alignof(Body), &run_body<Body>,
                                       [](void* b) noexcept { static_cast<Body*>(b)->~Body(); }};
        void* memory = nullptr;
        Block* const block = create(pool, type, memory);
        try {
            ::new (memory) Body(std::forward<F>(body));
        } catch (...) {
            discard(block);
            throw;
        }
        block_ = block;
    }
    Coroutine(Coroutine&&) noexcept = default;
    Coroutine& operator=(Coroutine&&) noexcept = default;

    // Runs the body to its next yield and returns what it yielded (with Out = void: true); nothing when the
    // body has returned instead. Before: created or suspended; not called from inside itself.
    template <class... Value>
    std::optional<OutValue> resume(Value&&... value) {
        static_assert(sizeof...(Value) == (kIn ? 1 : 0), "resume takes exactly one value of type In");
        std::optional<OutValue> out;
        if constexpr (kIn) {
            InValue in(std::forward<Value>(value)...);
            resume_with(&in, &out);
        } else {
            resume_with(nullptr, &out);
        }
        return out;
    }

  private:
    template <class Body>
    static void run_body(void* memory, Block& block) {
        struct Destroy {
            Body& body;
            ~Destroy() { body.~Body(); }
        } destroy{*static_cast<Body*>(memory)};
        Yield yield(block);
        if constexpr (kIn)
            destroy.body(yield, std::move(*static_cast<InValue*>(input_of(block))));
        else
            destroy.body(yield);
    }
};

}  // namespace corothread
