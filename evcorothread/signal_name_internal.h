// The name of a signal, for people. Internal.
#pragma once

#include <string.h>

#include <string>

namespace evcorothread {

// "SIGTERM"; "signal 34" for one without a name.
inline std::string signal_name(int signal) {
    const char* const name = ::sigabbrev_np(signal);
    return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

}  // namespace evcorothread
