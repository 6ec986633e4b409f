#include <cxxabi.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstring>
#include <type_traits>

#include "corothread/switch_internal.h"

namespace corothread {

// The header names Boost's functions itself, so that no other file needs Boost: here the two must agree.
static_assert(sizeof(Transfer) == sizeof(boost::context::detail::transfer_t));
static_assert(offsetof(Transfer, context) == offsetof(boost::context::detail::transfer_t, fctx));
static_assert(offsetof(Transfer, data) == offsetof(boost::context::detail::transfer_t, data));
static_assert(std::is_same_v<boost::context::detail::fcontext_t, void*>);

ThreadLocals ThreadLocals::of_this_thread() {
    return {reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals()), &errno};
}

void mark_outermost([[maybe_unused]] void* start_frame) {
#if defined(__x86_64__)
    // Words 7 and 8 are rbp and where to begin: a push of rbp, as if it had been a call from there, and a
    // jump to the entry function.
    auto* const words = static_cast<std::uintptr_t*>(start_frame);
    const auto maker = reinterpret_cast<std::uintptr_t>(&evc_make_fcontext);
    if (words[7] - maker < 0x80 && words[8] - maker < 0x80) words[7] = 0;
#endif
}

StartFrame::StartFrame(Entry entry) : entry_(entry) {
    alignas(16) char first[512] = {};
    alignas(16) char second[1024] = {};
    char* const top1 = first + sizeof first;
    char* const top2 = second + 512;
    const auto* const frame1 = static_cast<char*>(evc_make_fcontext(top1, sizeof first, entry));
    const auto* const frame2 = static_cast<char*>(evc_make_fcontext(top2, 512, entry));
    same_everywhere_ =
        frame1 == top1 - kSize && frame2 == top2 - kSize && std::memcmp(frame1, frame2, kSize) == 0;
    if (!same_everywhere_) return;
    std::memcpy(bytes_, frame1, kSize);
    mark_outermost(bytes_);
}

[[gnu::noinline]] void switch_in_catch(Context& self, Context& to, const ThreadLocals& locals) {
    ExceptionState* const exceptions = locals.exceptions;
    const ExceptionState saved = *exceptions;
    *exceptions = {};
    jump_to(self, to, locals);
    *exceptions = saved;
}

}  // namespace corothread
