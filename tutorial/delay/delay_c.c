// Coroutine threads that wait, in C; the same in C++ is delay.cpp.
//
//   delay_c [MS]...     one coroutine thread for each number: it waits that long, then says so;
//                       30 10 20 unless told
//
// Whoever waits less comes first, whatever the order they were started in; and all of it takes as long as the
// longest wait, not as their sum. Nothing here is a thread of the operating system.
#include <corothread/evthread.h>
#include <stdio.h>

static void sleeper(EVTHREAD* thread, EVSOCKET* socket, void* user_ctx) {
    const long* milliseconds = user_ctx;
    (void)socket;  // it was started without one
    if (EVTHREAD_delay(thread, EVTIMEOUT_ms(*milliseconds)) != 0) {
        perror(EVTHREAD_name(thread));  // ECANCELED, if somebody had called EVTHREAD_cancel
        return;
    }
    printf("%ld ms\n", *milliseconds);
}

int main(int argc, char** argv) {
    static long usual[] = {30, 10, 20};
    long* waits = usual;
    int count = argc > 1 ? argc - 1 : 3;
    STACKS stacks;
    EVLOOP* loop;

    if (argc > 1) {
        waits = malloc((size_t)count * sizeof *waits);
        if (waits == NULL) return 1;
        for (int i = 0; i < count; ++i) waits[i] = strtol(argv[i + 1], NULL, 10);
    }
    if (STACKS_init(&stacks, 100, 5) != 0 || (loop = EVLOOP_init(&stacks)) == NULL) {
        perror("delay_c");
        return 1;
    }
    for (int i = 0; i < count; ++i) {
        EVTHREAD* thread = EVTHREAD_init(loop, sleeper, &waits[i]);
        EVTHREAD_set_name(thread, "sleeper");
        EVTHREAD_start(thread, NULL);  // it runs when the loop does
    }
    EVLOOP_run(loop);  // returns when the last of them has returned
    EVLOOP_free(loop);
    STACKS_destroy(&stacks);
    if (waits != usual) free(waits);
    return 0;
}
