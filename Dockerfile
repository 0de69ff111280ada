# The official image of PostgreSQL with ftmigrate, which a new cluster's first
# database has in schema ftm from the start.
#
#   docker build -t ftmigrate .
#   docker build -t ftmigrate:17 --build-arg PG_MAJOR=17 --build-arg DEBIAN=trixie .

ARG PG_MAJOR=15
ARG DEBIAN=bookworm

# PG_MAJOR inside of the stages is a variable of the official image.
FROM postgres:${PG_MAJOR}-${DEBIAN} AS package
WORKDIR /src
COPY . .
RUN FTM_SERVER_VERSION="$PG_MAJOR" script/package

FROM postgres:${PG_MAJOR}-${DEBIAN}
COPY --from=package /src/dist/ /tmp/dist/
# The auth service is asked over HTTPS: ca-certificates.
RUN apt-get update \
	&& apt-get install -y --no-install-recommends ca-certificates \
		/tmp/dist/postgresql-"$PG_MAJOR"-ftmigrate_*.deb \
	&& rm -rf /var/lib/apt/lists/* /tmp/dist
COPY docker/initdb.sql /docker-entrypoint-initdb.d/ftmigrate.sql
