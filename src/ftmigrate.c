/*-------------------------------------------------------------------------
 *
 * ftmigrate.c
 *		The library: its magic, and what is done when it is loaded.
 *
 * Nothing here needs shared_preload_libraries: the library is loaded by the
 * first call of one of its functions, and by background workers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/settings.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	ftm_settings_define();
}
