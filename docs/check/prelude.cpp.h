// What fragments of the guides take for granted: every header, and the names that a reader has met before.
// Only compiled, never linked. build/check-docs.sh
#pragma once

#include <corothread/generator.h>
#include <evcorothread/broadcast.h>
#include <evcorothread/bundle.h>
#include <evcorothread/channel.h>
#include <evcorothread/child_process.h>
#include <evcorothread/condition.h>
#include <evcorothread/copy_stream.h>
#include <evcorothread/coroutine_local.h>
#include <evcorothread/cross_event.h>
#include <evcorothread/ev_connect.h>
#include <evcorothread/ev_parking.h>
#include <evcorothread/ev_tcp_acceptor.h>
#include <evcorothread/ev_timer.h>
#include <evcorothread/ev_udp_socket.h>
#include <evcorothread/event.h>
#include <evcorothread/group_listener.h>
#include <evcorothread/here.h>
#include <evcorothread/loop_group.h>
#include <evcorothread/mutex.h>
#include <evcorothread/offload.h>
#include <evcorothread/resolver.h>
#include <evcorothread/select.h>
#include <evcorothread/semaphore.h>
#include <evcorothread/shared_channel.h>
#include <evcorothread/signal_queue.h>
#include <evcorothread/signal_watch.h>
#include <evcorothread/tls_context.h>
#include <evcorothread/tls_socket.h>
#include <evcorothread/wait_fd.h>
#include <evcorothread/wait_group.h>
#include <evcorothread/workers.h>
#include <nutils/service_manager.h>
#include <webby/server.h>

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace evcorothread;
using namespace nutils;
using namespace corothread;
using namespace webby;
using namespace std::chrono_literals;
using evcorothread::process::WorkersOptions;
using nutils::IoResult;
using nutils::NetError;

namespace given {
extern EvLoop& loop;
extern EvSocket& socket;  // in a namespace: socket(2) has the name outside
extern StackPool& stacks;
}  // namespace given
