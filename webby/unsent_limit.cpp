#include "webby/unsent_limit.h"

#include "nutils/socket_ops.h"
#include "nutils/socket_options.h"

namespace webby {

void cut_off(int socket) {
    (void)nutils::set_reset_on_close(socket, true);
    (void)nutils::shutdown_both(socket);
}

void break_off(int socket, bool tls) {
    if (tls)
        (void)nutils::shutdown_both(socket);
    else
        (void)nutils::set_reset_on_close(socket, true);
}

}  // namespace webby
