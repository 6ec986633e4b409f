#include "webby/unsent_limit.h"

#include <sys/socket.h>

#include "nutils/socket_options.h"

namespace webby {

void cut_off(int socket) {
    const linger at_once{1, 0};
    (void)::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    (void)::shutdown(socket, SHUT_RDWR);
}

void break_off(int socket, bool tls) {
    if (tls)
        (void)::shutdown(socket, SHUT_RDWR);
    else
        (void)nutils::set_reset_on_close(socket, true);
}

}  // namespace webby
