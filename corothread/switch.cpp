#include <cxxabi.h>

#include <boost/context/detail/fcontext.hpp>
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

}  // namespace corothread
