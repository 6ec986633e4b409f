// What two peers have agreed on, as OpenSSL knows it. Internal.
#pragma once

#include <string_view>

#include "evcorothread/tls_socket.h"

namespace evcorothread {

// Of null: empty.
TlsInfo tls_info_of(const ssl_st* ssl);
std::string_view tls_alpn_of(const ssl_st* ssl);

}  // namespace evcorothread
