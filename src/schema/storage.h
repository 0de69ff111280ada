/*-------------------------------------------------------------------------
 *
 * storage.h
 *		Does a table keep its rows where the load would put them?
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_STORAGE_H
#define FTM_STORAGE_H

/*
 * Is the table's storage managed by another extension (a distributed table, a
 * table made of chunks)?  Rows that CopyFrom() puts into such a table's own
 * file are lost without an error.  relid is a plain table or a partitioned
 * root; needs a transaction, keeps no lock.
 */
extern bool ftm_storage_is_managed(Oid relid);

#endif							/* FTM_STORAGE_H */
