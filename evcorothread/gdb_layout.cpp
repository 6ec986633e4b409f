// What a debugger needs to find the coroutines of a process, or of its core file: where the loops are, how
// their parts lie, and the script that knows what to do with it, carried along in a section that gdb reads
// (for programs that link the archive; beside the installed shared library lies a copy). The layout makes the
// script work on stripped libraries, and on another version than its own.
#include <cstddef>
#include <cstdint>

#include "evcorothread/loop_core_internal.h"
#include "evcorothread/mutex.h"

namespace evcorothread {
namespace {
constexpr std::uint32_t kLayoutVersion = 1;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"  // both compilers know it for these types

// Read by evcorothread/gdb/evcorothread-gdb.py, field by field in this order.
struct GdbLayout {
    std::uint32_t version = kLayoutVersion;
    std::uint32_t loop_next = offsetof(LoopCore, next_loop);
    std::uint32_t loop_thread = offsetof(LoopCore, thread);
    std::uint32_t loop_slots = offsetof(LoopCore, threads) + offsetof(ThreadTable, slots_);
    std::uint32_t loop_slots_end = offsetof(LoopCore, threads) + offsetof(ThreadTable, end_);
    std::uint32_t loop_thread_count = offsetof(LoopCore, thread_count);
    std::uint32_t thread_flags = offsetof(ThreadCore, flags);
    std::uint32_t thread_name_size = offsetof(ThreadCore, name_size);
    std::uint32_t thread_left_off = offsetof(ThreadCore, context) + offsetof(corothread::Context, left_off);
    std::uint32_t thread_waiting = offsetof(ThreadCore, waiting);
    std::uint32_t thread_id = offsetof(ThreadCore, id);
    std::uint32_t thread_name = offsetof(ThreadCore, name_text);
    std::uint32_t wait_reason = offsetof(WaitPoint, reason_);
    std::uint32_t wait_kind = offsetof(WaitPoint, kind_);
    std::uint32_t wait_number = offsetof(WaitPoint, number_);
    std::uint32_t wait_object = offsetof(ObjectPoint, object);
    std::uint32_t mutex_owner = offsetof(Mutex, owner_);
    std::uint32_t kind_descriptor = static_cast<std::uint32_t>(WaitKind::descriptor);
    std::uint32_t kind_mutex = static_cast<std::uint32_t>(WaitKind::mutex);
    std::uint32_t kind_channel = static_cast<std::uint32_t>(WaitKind::channel);
    std::uint32_t kind_sync = static_cast<std::uint32_t>(WaitKind::sync);
};

#pragma GCC diagnostic pop

}  // namespace evcorothread

extern "C" {
// All loops, the first of a list. A plain global, there from the beginning to the end of the process,
// whatever is constructed or destroyed in which order.
[[gnu::visibility("default"), gnu::used]] evcorothread::LoopCore* evcorothread_loops = nullptr;
[[gnu::visibility("default")]] extern const evcorothread::GdbLayout evcorothread_gdb_layout;
constinit const evcorothread::GdbLayout evcorothread_gdb_layout{};
}

// 4: a Python script, its name in the first line, its text, a zero.
__asm__(R"(
    .pushsection ".debug_gdb_scripts", "MS", %progbits, 1
    .byte 4
    .ascii "evcorothread-gdb.py\n"
    .incbin "evcorothread/gdb/evcorothread-gdb.py"
    .byte 0
    .popsection
)");
