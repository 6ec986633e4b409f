// TlsError: the few kinds of TLS failure a program decides by; the error itself keeps OpenSSL's own words.
#pragma once

#include <system_error>

#include "cutils/export.h"

namespace evcorothread {

// What TlsSocket and TlsContext report is a std::error_code whose message() is OpenSSL's text ("certificate
// has expired", "tlsv13 alert certificate required"). There are some hundred of them; compare with one of
// these:
//
//   auto client = TlsSocket::connect(std::move(socket), context, "example.com", 5s);
//   if (!client && client.error().code() == TlsError::wrong_host) …
//   if (!client) log(client.error().message());
//
// Not among them, because they have words of their own: NetError::truncated, the stream ended without the
// peer's closing message; NetError::timed_out, canceled, eof, …; and the errno of a socket call.
enum class TlsError {
    protocol = 1,         // the peer does not speak TLS, or not as it must
    certificate_refused,  // we do not trust the peer's certificate, or it has none
    certificate_expired,  // …because its time is over, or has not begun
    wrong_host,           // …because it is for another host
    refused_by_peer,      // the peer sent an alert: it did not like something of ours
    plain_text,           // the peer spoke plain HTTP, or some such, to a TLS port
    bad_file,             // a certificate or key file holds something else, or they do not fit each other
};

[[nodiscard]] EVC_API std::error_condition make_error_condition(TlsError error) noexcept;

}  // namespace evcorothread

template <>
struct std::is_error_condition_enum<evcorothread::TlsError> : std::true_type {};
