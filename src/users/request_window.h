/*-------------------------------------------------------------------------
 *
 * request_window.h
 *		How many requests the auth service can take at a time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_REQUEST_WINDOW_H
#define FTM_REQUEST_WINDOW_H

typedef struct RequestWindow
{
	double		size;			/* requests in flight, the next one included */
	int			bound;			/* never more than that */
	double		shortest;		/* milliseconds of the fastest request; 0: none
								 * yet */
	double		usual;			/* of the latest ones, smoothed */
} RequestWindow;

/* bound: at least 1. */
extern void ftm_request_window_init(RequestWindow *window, int bound);

/* A request was answered as it should be, after so many milliseconds. */
extern void ftm_request_window_answered(RequestWindow *window, int elapsed);

/* The service had too much to do, or did not answer. */
extern void ftm_request_window_refused(RequestWindow *window);

/* How many may be in flight: 1 to bound. */
extern int	ftm_request_window_size(const RequestWindow *window);

#endif							/* FTM_REQUEST_WINDOW_H */
