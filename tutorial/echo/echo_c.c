// An echo server in C: the program of the article this project descends from, and a main() around it.
//
//   echo_c [PORT]     9999 unless told; 0 takes any free port
//
// Read echo_thread first: it is the whole server, as if there were only one client. EVSOCKET_recv and
// EVSOCKET_send look as if they blocked, and for this coroutine thread they do; the others go on meanwhile,
// all on one OS thread. At most 100 are served at once, since there are 100 stacks: the 101st waits in the
// listen queue until one comes back. The same in C++ is echo.cpp.

// clang-format off
#include <corothread/evthread.h>
#include <stdio.h>

#define BF_SIZE 4096

static struct timeval TIME_OUT = { 3 , 0 };

void echo_thread( EVTHREAD *thread, struct tagEVSOCKET *socket, void *user_ctx)
{
  char *buffer;
  int rt;

  // On the heap: a coroutine thread has a stack of a few pages.
  buffer = malloc( BF_SIZE);

  while ( (rt = EVSOCKET_recv( socket, buffer, BF_SIZE, 0, TIME_OUT)) > 0) {
    if ( EVSOCKET_send( socket, buffer, rt, 0, TIME_OUT ) != rt ) {
      break;
    }
  }

  free(buffer);
}  // the socket closes here, the stack goes back

// Asked for every connection: what is to be run, and with what context. Non-zero would close it at once.
int echo_thread_factory (int fd, EVTHREAD_PROC *proc, void **ctx )
{
  *proc = echo_thread;
  *ctx = 0;
  return 0;
}
// clang-format on

int main(int argc, char** argv) {
    STACKS stacks;
    EVLOOP* loop;
    EVTCPACCEPTOR* acceptor;
    IPADDRESS addr;
    SOCKADDR saddr;

    CTHREAD_libinit();

    IPADDRESS_any(&addr, AF_INET);
    if (SOCKADDR_init(&saddr, &addr, argc > 1 ? atoi(argv[1]) : 9999) != 0) {
        fprintf(stderr, "usage: echo_c [PORT]\n");
        return 2;
    }

    // 100 coroutine threads at most, of 5 pages each: the throttle.
    if (STACKS_init(&stacks, 100, 5) != 0) {
        perror("echo_c: STACKS_init");
        return 1;
    }
    loop = EVLOOP_init(&stacks);
    acceptor = EVTCPACCEPTOR_init_ex(loop, &saddr, 30, echo_thread_factory, 8192, 8192);
    if (acceptor == NULL) {  // also when there is no loop: then it says EINVAL
        perror("echo_c: listen");
    } else {
        printf("listening at 127.0.0.1:%d\n", EVTCPACCEPTOR_port(acceptor));
        fflush(stdout);
        EVLOOP_run(loop);  // until the program is ended
    }

    EVLOOP_free(loop);  // closes the acceptor, too
    STACKS_destroy(&stacks);
    return acceptor == NULL;
}
