// What every call of a TlsSocket with a Deadline looks at first. Internal.
#pragma once

#include <system_error>

#include "cutils/check.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/tls_engine_internal.h"

namespace evcorothread {

// As EvSocket's: a canceled coroutine moves nothing more, except under a shield.
inline std::error_code tls_refusal(const TlsEngine* engine) {
    if (engine == nullptr || !engine->transport.is_open()) return NetError::closed;
    const ThreadCore& self = ThreadCore::current();
    EVC_CHECK(&self.loop == &engine->watch()->loop, "a TlsSocket is used by a coroutine of another loop");
    if (self.refuses_waits()) return NetError::canceled;
    return {};
}

}  // namespace evcorothread
