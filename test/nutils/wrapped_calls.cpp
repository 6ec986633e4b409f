// The system calls that these tests can make fail: what wrap.txt names.
#include "test/support/wrapped_socket_calls.h"
