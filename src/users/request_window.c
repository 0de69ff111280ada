/*-------------------------------------------------------------------------
 *
 * request_window.c
 *		How many requests the auth service can take at a time.
 *
 * A service of one thread does no more for being asked by many: requests wait
 * for each other, and all of them take longer.  A service of many threads does.
 * Which one it is shows in the time that answers take: with size requests in
 * flight, size * (1 - shortest / usual) of them are waiting for others (TCP
 * Vegas).  While few are, the window grows by one per round; when many are, it
 * shrinks by as much, but not below what keeps one thread busy.  A service that
 * says that it has too much to do, or that does not answer, halves it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "users/request_window.h"

/* Keeps one thread busy while answers and requests travel. */
#define ENOUGH_FOR_ONE_THREAD	4.0

/* Requests that may wait for others: grow below, shrink above. */
#define FEW_WAITING		2.0
#define MANY_WAITING	4.0

/* Weight of one answer in the usual time. */
#define SMOOTHING		0.125

void
ftm_request_window_init(RequestWindow *window, int bound)
{
	memset(window, 0, sizeof(*window));
	window->bound = bound;
	window->size = Min(ENOUGH_FOR_ONE_THREAD, bound);
}

void
ftm_request_window_answered(RequestWindow *window, int elapsed)
{
	double		time = Max(elapsed, 1);
	double		waiting;

	if (window->shortest == 0 || time < window->shortest)
		window->shortest = time;
	window->usual = window->usual == 0 ? time :
		window->usual + SMOOTHING * (time - window->usual);

	waiting = window->size * (1 - window->shortest / window->usual);
	if (waiting < FEW_WAITING || window->size < ENOUGH_FOR_ONE_THREAD)
		window->size = Min(window->bound, window->size + 1 / window->size);
	else if (waiting > MANY_WAITING)
		window->size = Max(Min(ENOUGH_FOR_ONE_THREAD, window->bound),
						   window->size - 1 / window->size);
}

void
ftm_request_window_refused(RequestWindow *window)
{
	window->size = Max(1, window->size / 2);
}

int
ftm_request_window_size(const RequestWindow *window)
{
	return (int) window->size;
}
