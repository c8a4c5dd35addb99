# Log-likelihoods of the small, mostly singular fits of singular.csv by lme4 and glmmTMB.
# Debian packages: r-cran-lme4 r-cran-glmmtmb r-cran-jsonlite.  In this folder:
# Rscript make_singular_reference.R > singular_reference.json
suppressMessages({library(lme4); library(glmmTMB); library(jsonlite)})

rows <- read.csv("singular.csv", stringsAsFactors = FALSE)
fits <- lapply(split(rows, rows$data), function(d) {
  f <- as.formula(paste("y ~ x + h +", d$random[1]))
  family <- d$family[1]
  lme <- suppressMessages(suppressWarnings(
    if (family == "gaussian") lmer(f, d, REML = FALSE) else glmer(f, d, get(family))))
  # its logLik is NA where the Hessian is not positive definite, as on the boundary
  tmb <- suppressWarnings(glmmTMB(f, d, get(family)))
  list(data = d$data[1], formula = deparse(f), family = family, lme4 = as.numeric(logLik(lme)),
       glmmTMB = -tmb$fit$objective)
})
cat(toJSON(list(r = R.version.string, lme4 = as.character(packageVersion("lme4")),
                glmmTMB = as.character(packageVersion("glmmTMB")), fits = unname(fits)),
           auto_unbox = TRUE, digits = 12, pretty = TRUE), "\n")
