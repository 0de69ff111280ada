/*-------------------------------------------------------------------------
 *
 * validator.h
 *		What may be said in CREATE SERVER and CREATE USER MAPPING.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_VALIDATOR_H
#define FTM_VALIDATOR_H

/* Names of the foreign-data wrappers; see sql/ftmigrate--1.0.sql. */
#define FTM_SOURCE_WRAPPER		"ftm_source"
#define FTM_STACK_AUTH_WRAPPER	"ftm_stack_auth"

/*
 * Is keyword a libpq connection parameter that a source may be given?  This is
 * an allow-list, whatever the wrapper whose server carries the option.
 */
extern bool ftm_validator_is_libpq_option(const char *keyword);

/*
 * pg_foreign_server or pg_user_mapping: where ftm_source takes this option.
 * InvalidOid if it does not know it.
 */
extern Oid	ftm_validator_source_catalog(const char *keyword);

#endif							/* FTM_VALIDATOR_H */
