// What fragments of the guides in C take for granted. Only compiled, never linked. build/check-docs.sh
#pragma once

#include <errno.h>
#include <evcorothread/evthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern EVLOOP* loop;
